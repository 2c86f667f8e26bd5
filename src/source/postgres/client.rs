//! The server's own client programs, started so that nobody sees the password.
//!
//! In: a login, a program. Out: a [`Command`] whose environment says how to connect and whose
//! password stands in a private file: neither its arguments nor its environment hold it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::ground::secret::ExposeSecret;
use crate::source::login::{Login, Tls};

/// How programs connect: everything but the database.
#[derive(Clone)]
pub(super) struct Client {
    login: Login,
    password_file: PathBuf,
}

impl Client {
    /// Writes the password file (mode 0600) into `folder`, which is private and goes away.
    pub fn new(login: &Login, folder: &Path) -> io::Result<Self> {
        let password_file = folder.join("pgpass");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&password_file)?;
        if let Some(password) = &login.password {
            let password = password.expose_secret();
            if password.contains(['\n', '\r', '\0']) {
                let what = "the password has a line end, which PostgreSQL's programs cannot read";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
            writeln!(file, "*:*:*:*:{escaped}")?;
        }
        Ok(Self { login: Login { password: None, ..login.clone() }, password_file })
    }

    /// `program` with what connects it to `database`, in a process group of its own.
    pub fn command(&self, program: &Path, database: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            // Debian's programs look for nothing else there; messages are read by people.
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("PGHOST", &self.login.host)
            .env("PGPORT", self.login.port.to_string())
            .env("PGUSER", &self.login.user)
            .env("PGDATABASE", database)
            .env("PGPASSFILE", &self.password_file)
            .env("PGAPPNAME", "lifeboat")
            .env("PGCONNECT_TIMEOUT", "30")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        match &self.login.tls {
            Tls::Off => command.env("PGSSLMODE", "disable"),
            Tls::Require => command.env("PGSSLMODE", "require"),
            Tls::Verify { ca } => command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", ca),
        };
        command
    }
}
