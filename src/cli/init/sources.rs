//! The sources that `init` writes: what was named or found becomes parts of a policy.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::server::Server;
use super::text::toml;

/// Something to protect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// Paths, absolute, none below another.
    Files(Vec<PathBuf>),
    /// A database's file, absolute.
    Sqlite(PathBuf),
    Server(Server),
}

/// One `[[source]]` with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) what: What,
}

/// Names what is to be protected: by what each is, numbered.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, u32>);

impl Names {
    /// The next name that begins with `base`, e.g. `postgres-1`.
    pub(super) fn next(&mut self, base: &str) -> String {
        let number = self.0.entry(base.to_owned()).or_default();
        *number += 1;
        format!("{base}-{number}")
    }
}

impl Declared {
    /// The source as a policy has it.
    pub(super) fn text(&self) -> String {
        let name = &self.name;
        match &self.what {
            What::Files(paths) => {
                let paths: Vec<String> =
                    paths.iter().map(|path| toml(&path.display().to_string())).collect();
                format!(
                    "\n[[source]]\nname = \"{name}\"\nkind = \"files\"\npaths = [{}]\n\
                     exclude = [\"*.tmp\"]              # .gitignore's syntax\n",
                    paths.join(", ")
                )
            }
            What::Sqlite(path) => {
                let path = toml(&path.display().to_string());
                format!("\n[[source]]\nname = \"{name}\"\nkind = \"sqlite\"\npath = {path}\n")
            }
            What::Server(server) => server.source(name),
        }
    }

    /// The server, where it is one.
    pub(super) fn server(&self) -> Option<&Server> {
        match &self.what {
            What::Server(server) => Some(server),
            What::Files(_) | What::Sqlite(_) => None,
        }
    }
}
