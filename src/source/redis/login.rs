//! How to reach a server, and as whom.

use crate::ground::secret::SecretString;
use crate::policy::sources::{RedisSettings, Tls};
use crate::source::Error;

/// How to reach a server, and as whom.
#[derive(Clone)]
pub struct Login {
    /// The path of its socket, absolute, or its name or address.
    pub host: String,
    pub port: u16,
    /// None for the user that every server has, `default`.
    pub user: Option<String>,
    pub password: Option<SecretString>,
    pub tls: Tls,
}

impl Login {
    /// What `settings` say, with the password read now.
    pub(super) fn of(settings: &RedisSettings) -> Result<Self, Error> {
        let password = settings.password.as_ref().map(|password| password.reveal());
        let password = password.transpose().map_err(|error| Error::Engine {
            object: "password".to_owned(),
            what: "it cannot be read".to_owned(),
            source: Some(Box::new(error)),
        })?;
        Ok(Self {
            host: settings.host.clone(),
            port: settings.port,
            user: settings.user.clone(),
            password,
            tls: settings.tls.clone(),
        })
    }

    /// The server as messages name it.
    pub fn server(&self) -> String {
        if self.is_local() { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Whether it is reached over a socket of this host.
    pub fn is_local(&self) -> bool {
        self.host.starts_with('/')
    }
}
