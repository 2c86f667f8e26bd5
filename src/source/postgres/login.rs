//! How to reach a server, and as whom.

use std::path::PathBuf;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::ground::secret::{ExposeSecret, SecretString};

/// How to reach a server, and as whom.
#[derive(Clone)]
pub struct Login {
    /// A folder that holds the socket (absolute), or a name or address.
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

    pub(super) fn options(&self, database: &str) -> PgConnectOptions {
        let mut options = PgConnectOptions::new_without_pgpass()
            .port(self.port)
            .username(&self.user)
            // Without one an empty password, not one of the environment, meant for another server.
            .password(self.password.as_ref().map_or("", |password| password.expose_secret()))
            .database(database)
            .application_name("lifeboat")
            .options([("client_encoding", "UTF8")])
            .statement_cache_capacity(0)
            .disable_statement_logging();
        options =
            if self.is_local() { options.socket(&self.host) } else { options.host(&self.host) };
        match &self.tls {
            Tls::Off => options.ssl_mode(PgSslMode::Disable),
            Tls::Require => options.ssl_mode(PgSslMode::Require),
            Tls::Verify { ca } => options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(ca),
        }
    }
}
