//! The server's own programs on this host.
//!
//! Out: an [`Engine`] whose programs are there and of the series asked for, or a [`Missing`] that
//! says what to install. Blocking: the server's program is asked for its version.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Product;
use super::physical::{COPIER, READER};
use super::product::Version;
use crate::ground::process;
use crate::policy;

/// How long a program may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a capture and a recovery need, below `/usr`, and the package that has it; the server first.
const OF_MARIADB: [(&str, &str); 4] = [
    ("sbin/mariadbd", "mariadb-server-core"),
    ("bin/mariadb-install-db", "mariadb-server-core"),
    ("bin/mariadb-dump", "mariadb-client"),
    ("bin/mariadb", "mariadb-client-core"),
];
const OF_MYSQL: [(&str, &str); 3] = [
    ("sbin/mysqld", "mysql-server-core"),
    ("bin/mysqldump", "mysql-client-core"),
    ("bin/mysql", "mysql-client-core"),
];

/// The same for captures by files.
const OF_COPIES: [(&str, &str); 2] = [(COPIER, "mariadb-backup"), (READER, "mariadb-client")];

/// The first release of 10.11 whose client has a sandbox: <https://mariadb.com/kb/en/mariadb-dump/>.
const FIRST_WITH_SANDBOX: u32 = 8;

/// The programs of one series of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    pub product: Product,
    /// As the server's program tells it, e.g. `10.11.19`.
    pub version: String,
    /// The folder that holds `bin`, `sbin` and `share`.
    root: PathBuf,
}

/// Why there are no programs of a series.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    #[error(
        "{} {series} was not tried: lifeboat works with {} {}",
        product.name(), product.name(), product.series().join(", ")
    )]
    Unsupported { product: Product, series: String },
    #[error("{} is missing: install {package}", program.display())]
    Program { program: PathBuf, package: &'static str },
    #[error("{} does not tell its version", program.display())]
    Silent { program: PathBuf, source: Option<process::Error> },
    #[error("{} is of {found}, and the server is of {series}: install that series", program.display())]
    OtherVersion { program: PathBuf, found: String, series: String },
    #[error(
        "{} is of {found}, whose client cannot be kept from running programs that a dump names: \
         install 10.11.{FIRST_WITH_SANDBOX} or newer",
        program.display()
    )]
    NoSandbox { program: PathBuf, found: String },
}

/// Where the programs of each series may stand.
#[derive(Debug, Clone, Default)]
pub struct Engines {
    /// `[[engine]]` of the site, in its order: product, series and folder.
    declared: Vec<(Product, String, PathBuf)>,
}

impl Engines {
    /// Those that the site declares, and Debian's.
    pub fn of(declared: &[policy::Engine]) -> Self {
        let declared = declared.iter().filter_map(|engine| match engine {
            policy::Engine::Mariadb { series, path } => {
                Some((Product::Mariadb, series.clone(), path.clone()))
            }
            policy::Engine::Mysql { series, path } => {
                Some((Product::Mysql, series.clone(), path.clone()))
            }
            policy::Engine::Postgres { .. } => None,
        });
        Self { declared: declared.collect() }
    }

    /// The programs of `series`: declared ones where they are there, else Debian's.
    pub fn find(&self, product: Product, series: &str) -> Result<Engine, Missing> {
        if !product.series().contains(&series) {
            return Err(Missing::Unsupported { product, series: series.to_owned() });
        }
        let is_meant =
            |(of, declared, _): &&(Product, String, PathBuf)| *of == product && declared == series;
        let declared = self.declared.iter().find(is_meant).map(|(_, _, root)| root.as_path());
        let declared = declared.filter(|root| root.join(server_of(product)).is_file());
        Engine::below(declared.unwrap_or(Path::new("/usr")), product, series)
    }
}

/// The programs of a product; the server first.
fn programs(product: Product) -> &'static [(&'static str, &'static str)] {
    match product {
        Product::Mariadb => &OF_MARIADB,
        Product::Mysql => &OF_MYSQL,
    }
}

/// The server's program, below the folder of them all.
pub(super) fn server_of(product: Product) -> &'static str {
    programs(product)[0].0
}

impl Engine {
    fn below(root: &Path, product: Product, series: &str) -> Result<Self, Missing> {
        for (program, package) in programs(product) {
            let program = root.join(program);
            if !program.is_file() {
                return Err(Missing::Program { program, package });
            }
        }
        let program = root.join(server_of(product));
        let argv = [program.display().to_string(), "--no-defaults".into(), "--version".into()];
        let silent = |source| Missing::Silent { program: program.clone(), source };
        let said = process::output(&argv, PATIENCE).map_err(|error| silent(Some(error)))?;
        // `/usr/sbin/mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64`
        let said = String::from_utf8_lossy(&said);
        let word = said.split_whitespace().skip_while(|word| *word != "Ver").nth(1);
        let version = word.and_then(Version::read).ok_or_else(|| silent(None))?;
        if (version.product, version.series.as_str()) != (product, series) {
            let found = format!("{} {}", version.product.name(), version.number);
            let series = format!("{} {series}", product.name());
            return Err(Missing::OtherVersion { program, found, series });
        }
        let release = version.number.rsplit('.').next().and_then(|part| part.parse::<u32>().ok());
        if product == Product::Mariadb && release < Some(FIRST_WITH_SANDBOX) {
            return Err(Missing::NoSandbox { program, found: version.number });
        }
        Ok(Self { product, version: version.number, root: root.to_owned() })
    }

    /// The server's program; absolute.
    pub fn server(&self) -> PathBuf {
        self.root.join(server_of(self.product))
    }

    /// One of the client programs, e.g. `mariadb-dump`; absolute.
    pub fn program(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// The program that copies a running server's files and prepares copies; the one that reads binary
    /// logs must be there, too.
    pub fn copier(&self) -> Result<PathBuf, Missing> {
        for (name, package) in OF_COPIES {
            let program = self.program(name);
            if !program.is_file() {
                return Err(Missing::Program { program, package });
            }
        }
        Ok(self.program(COPIER))
    }

    /// Folders outside the system that its programs read.
    pub fn folders(&self) -> Vec<PathBuf> {
        if self.root == Path::new("/usr") { Vec::new() } else { vec![self.root.clone()] }
    }

    /// The folder with `bin` and `share`.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder with all programs, whose server says that it is of `version`.
    fn folder(version: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (program, _) in OF_MARIADB {
            let path = folder.path().join(program);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let said = format!("#!/bin/sh\necho \"$0  Ver {version}-MariaDB for Linux\"\n");
            fs::write(&path, said).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    }

    #[test]
    fn debians_own_programs_are_found() {
        let engine = Engines::default().find(Product::Mariadb, "10.11").unwrap();

        assert!(engine.version.starts_with("10.11."), "{engine:?}");
        assert_eq!(engine.program("mariadb-dump"), Path::new("/usr/bin/mariadb-dump"));
    }

    #[test]
    fn a_series_that_was_not_tried_is_refused_with_those_that_were() {
        let missing = Engines::default().find(Product::Mariadb, "10.5").unwrap_err();

        assert!(missing.to_string().contains("works with MariaDB 10.11"), "{missing}");
    }

    #[test]
    fn programs_of_one_product_do_not_serve_the_other() {
        let folder = folder("10.11.19");
        let declared = policy::Engine::Mariadb { series: "9.7".into(), path: folder.path().into() };

        let missing = Engines::of(&[declared]).find(Product::Mysql, "9.7").unwrap_err();

        // MariaDB brings a link of that name.
        assert!(missing.to_string().contains("is of MariaDB 10.11."), "{missing}");
        let missing = Engines::default().find(Product::Mysql, "8.4").unwrap_err();
        assert!(missing.to_string().contains("works with MySQL 9.7"), "{missing}");
    }

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let folder = folder("10.11.19");
        fs::remove_file(folder.path().join("bin/mariadb-dump")).unwrap();

        let missing = Engine::below(folder.path(), Product::Mariadb, "10.11").unwrap_err();

        assert!(missing.to_string().contains("install mariadb-client"), "{missing}");
    }

    #[test]
    fn programs_of_another_series_and_a_client_without_sandbox_are_refused() {
        let of =
            |version| Engine::below(folder(version).path(), Product::Mariadb, "10.11").unwrap_err();

        assert!(
            matches!(of("11.8.3"), Missing::OtherVersion { found, .. } if found == "MariaDB 11.8.3")
        );
        assert!(matches!(of("10.11.7"), Missing::NoSandbox { found, .. } if found == "10.11.7"));
    }
}
