//! The server's own client programs, started so that nobody sees the password.
//!
//! In: a login, a program. Out: a [`Command`] that reads how to connect from a private file: neither
//! its arguments nor its environment hold the password.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::login::{Login, Tls};
use super::Product;
use crate::ground::secret::ExposeSecret;

/// How programs connect.
#[derive(Debug, Clone)]
pub(super) struct Client {
    options: PathBuf,
}

impl Client {
    /// Writes the option file (mode 0600) into `folder`, which is private and goes away.
    pub fn new(product: Product, login: &Login, folder: &Path) -> io::Result<Self> {
        let options = folder.join("client.cnf");
        let mut file = OpenOptions::new();
        let mut file = file.write(true).create_new(true).mode(0o600).open(&options)?;
        file.write_all(text(product, login).as_bytes())?;
        Ok(Self { options })
    }

    /// `program` with what connects it, in a process group of its own.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg(self.defaults());
        alone(&mut command);
        command
    }

    /// The same, with `script` as what it reads.
    pub fn reading(&self, program: &Path, script: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "script=$1; shift; exec \"$@\" < \"$script\"", "sh"]);
        command.arg(script).arg(program).arg(self.defaults());
        alone(&mut command);
        command
    }

    /// It must come first, and keeps the host's own option files out.
    fn defaults(&self) -> String {
        format!("--defaults-file={}", self.options.display())
    }
}

/// Keeps out what stands around lifeboat itself.
fn alone(command: &mut Command) {
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
}

/// What keeps the client from doing anything of its own that a script asks for. MySQL's has no
/// sandbox: `--binary-mode`, which both get, leaves only two of its commands, and neither acts.
pub(super) fn commands_off(product: Product) -> &'static [&'static str] {
    match product {
        Product::Mariadb => &["--sandbox"],
        Product::Mysql => &["--skip-commands", "--skip-system-command"],
    }
}

fn text(product: Product, login: &Login) -> String {
    let mut lines = vec![format!("user={}", quoted(&login.user))];
    if let Some(password) = &login.password {
        lines.push(format!("password={}", quoted(password.expose_secret())));
    }
    if login.is_local() {
        lines.extend([format!("socket={}", quoted(&login.host)), "protocol=socket".to_owned()]);
    } else {
        lines.push(format!("host={}", quoted(&login.host)));
        lines.extend([format!("port={}", login.port), "protocol=tcp".to_owned()]);
    }
    let authority = |ca: &Path| format!("ssl-ca={}", quoted(&ca.display().to_string()));
    match (&login.tls, product) {
        (Tls::Off, Product::Mariadb) => lines.push("skip-ssl".to_owned()),
        (Tls::Require, Product::Mariadb) => lines.push("ssl".to_owned()),
        (Tls::Verify { ca }, Product::Mariadb) => {
            lines.extend([authority(ca), "ssl-verify-server-cert".to_owned()]);
        }
        // A password goes to the server sealed with a key that it hands out.
        (Tls::Off, Product::Mysql) => {
            lines.extend(["ssl-mode=DISABLED".to_owned(), "get-server-public-key".to_owned()]);
        }
        (Tls::Require, Product::Mysql) => lines.push("ssl-mode=REQUIRED".to_owned()),
        (Tls::Verify { ca }, Product::Mysql) => {
            lines.extend([authority(ca), "ssl-mode=VERIFY_IDENTITY".to_owned()]);
        }
    }
    format!("[client]\n{}\n", lines.join("\n"))
}

/// A value as option files take it: <https://mariadb.com/kb/en/configuring-mariadb-with-option-files/>.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c => text.push(c),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_an_option_file_can_begin_another_line() {
        assert_eq!(quoted("a\"b\\c\nhost=x # y"), "\"a\\\"b\\\\c\\nhost=x # y\"");
    }
}
