//! How to reach a server, and as whom.

use std::path::PathBuf;

use super::Error;
use crate::ground::secret::SecretString;
use crate::policy::sources::{self, ServerSettings};

/// How to reach a server, and as whom.
#[derive(Clone)]
pub struct Login {
    /// The path of a socket, absolute (of PostgreSQL the folder that holds it), or a name or address.
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<SecretString>,
    pub tls: Tls,
}

/// Whether and how strictly a connection is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: sockets, loopback.
    Off,
    /// Encrypted, whoever answers.
    Require,
    /// Encrypted, and the server's certificate names the host and comes from `ca`, a PEM file.
    Verify { ca: PathBuf },
}

impl Login {
    /// The server as messages name it.
    pub fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether it is reached over a socket of this host.
    pub fn is_local(&self) -> bool {
        self.host.starts_with('/')
    }

    /// As `settings` say, with the password read now.
    pub(super) fn of(settings: &ServerSettings) -> Result<Self, Error> {
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
            tls: match &settings.tls {
                sources::Tls::Off => Tls::Off,
                sources::Tls::Require => Tls::Require,
                sources::Tls::Verify { ca } => Tls::Verify { ca: ca.clone() },
            },
        })
    }
}
