//! What a scratch server is made, started and filled with, by product.
//!
//! A scratch copy is thrown away: nothing of it need survive a crash. Nothing of the customer's
//! configuration is in force, nothing is logged, sent or run by the clock, no file is read.

use std::path::PathBuf;

use super::super::Product;
use super::super::engine::Engine;

/// What both servers are told.
const OF_BOTH: [&str; 18] = [
    "--skip-networking",
    "--skip-name-resolve",
    "--skip-log-bin",
    // Not DISABLED, for then none could be made.
    "--event-scheduler=OFF",
    "--local-infile=0",
    "--default-time-zone=+00:00",
    "--performance-schema=0",
    "--max-connections=40",
    "--max-allowed-packet=1G",
    "--innodb-buffer-pool-size=256M",
    "--innodb-log-buffer-size=64M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-use-native-aio=0",
    "--innodb-buffer-pool-dump-at-shutdown=0",
    "--innodb-buffer-pool-load-at-startup=0",
    "--innodb-stats-persistent=0",
    "--innodb-fast-shutdown=2",
    "--innodb-lock-wait-timeout=600",
];

const OF_MARIADB: [&str; 9] = [
    "--log-bin-trust-function-creators=1",
    "--skip-innodb-doublewrite",
    "--innodb-flush-method=fsync",
    "--debug-no-sync=1",
    "--key-buffer-size=64M",
    "--max-statement-time=0",
    // Plugins that captured files name: the first two would refuse accounts without a password.
    "--loose-simple-password-check=OFF",
    "--loose-cracklib-password-check=OFF",
    "--loose-server-audit-logging=OFF",
];

const OF_MYSQL: [&str; 4] =
    ["--innodb-doublewrite=OFF", "--innodb-flush-method=nosync", "--mysqlx=OFF", "--ssl-ca="];

/// What a server is told that starts on captured files: it would else not know accounts that name a host.
/// Nobody reaches it over a network, so that no name is looked up.
pub(super) const OF_FILES: [&str; 1] = ["--skip-name-resolve=OFF"];

/// Plugins that let accounts in, which Debian's servers have and do not load by themselves: an account
/// that names one that is not there cannot be made.
const PLUGINS: [&str; 2] = ["auth_socket.so", "mysql_native_password.so"];

/// Functions (MD5, SHA1) that were the server's own before 9.6, and still stand in definitions.
const CLASSIC_HASHING: &str = "component_classic_hashing";

/// What a server runs first: all accounts go but its own and ours, which need no passwords, since
/// nobody else reaches the socket.
const FIRST_ON_MARIADB: [&str; 4] = [
    "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';",
    "DELETE FROM mysql.proxies_priv;",
    "DELETE FROM mysql.db;",
    "FLUSH PRIVILEGES;",
];
/// What a server runs first on captured files: their accounts stay, ours come to them.
const FIRST_ON_FILES: [&str; 8] = [
    "CREATE OR REPLACE USER lifeboat_scratch@localhost;",
    "GRANT ALL PRIVILEGES ON *.* TO lifeboat_scratch@localhost WITH GRANT OPTION;",
    "CREATE OR REPLACE USER lifeboat_reader@localhost;",
    "GRANT SELECT, SHOW VIEW, EXECUTE ON *.* TO lifeboat_reader@localhost;",
    // It repeats grants of roles that are there.
    "REPLACE INTO mysql.roles_mapping (Host, User, Role, Admin_option) \
     SELECT 'localhost', 'lifeboat_scratch', User, 'Y' FROM mysql.global_priv \
     WHERE JSON_VALUE(Priv, '$.is_role') IN ('1', 'true') AND User <> 'PUBLIC';",
    "REPLACE INTO mysql.proxies_priv (Host, User, Proxied_host, Proxied_user, With_grant, Grantor) \
     VALUES ('localhost', 'lifeboat_scratch', '', '', 1, '');",
    "FLUSH PRIVILEGES;",
    "SET GLOBAL event_scheduler = OFF;",
];

const FIRST_ON_MYSQL: [&str; 1] = ["DROP USER root@localhost;"];
const FIRST: [&str; 6] = [
    "CREATE USER lifeboat_scratch@localhost;",
    "GRANT ALL PRIVILEGES ON *.* TO lifeboat_scratch@localhost WITH GRANT OPTION;",
    "CREATE USER lifeboat_reader@localhost;",
    // A transaction that only reads lets definitions through.
    "GRANT SELECT, SHOW VIEW, EXECUTE ON *.* TO lifeboat_reader@localhost;",
    // Nobody is there yet who could grant it.
    "INSERT INTO mysql.proxies_priv (Host, User, Proxied_host, Proxied_user, With_grant, Grantor) \
     VALUES ('localhost', 'lifeboat_scratch', '', '', 1, '');",
    "FLUSH PRIVILEGES;",
];

/// The program that makes a server's files, and what it is told beside where they go.
pub(super) fn maker(engine: &Engine) -> (PathBuf, Vec<String>) {
    let (program, options) = match engine.product {
        Product::Mariadb => (
            engine.program("mariadb-install-db"),
            // Nobody looks up its name: --force lets it go on without.
            &[
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--force",
                "--skip-name-resolve",
                "--debug-no-sync=1",
                "--innodb-use-native-aio=0",
            ][..],
        ),
        Product::Mysql => (
            engine.server(),
            &[
                "--initialize-insecure",
                "--skip-log-bin",
                "--performance-schema=0",
                "--auto-generate-certs=OFF",
                "--caching-sha2-password-auto-generate-rsa-keys=OFF",
                "--innodb-doublewrite=OFF",
                "--innodb-flush-method=nosync",
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-use-native-aio=0",
            ][..],
        ),
    };
    (program, options.iter().map(|option| (*option).to_owned()).collect())
}

/// How large the redo log is.
pub(super) fn redo_log(product: Product, bytes: u64) -> String {
    let name = match product {
        Product::Mariadb => "innodb-log-file-size",
        Product::Mysql => "innodb-redo-log-capacity",
    };
    format!("--{name}={}M", bytes >> 20)
}

/// What the server is told beside where its files are.
pub(super) fn of_server(engine: &Engine) -> Vec<String> {
    let own: &[&str] = match engine.product {
        Product::Mariadb => &OF_MARIADB,
        Product::Mysql => &OF_MYSQL,
    };
    let told = OF_BOTH.iter().chain(own).map(|option| (*option).to_owned());
    let plugins = PLUGINS.iter().filter(|name| has_plugin(engine, name));
    told.chain(plugins.map(|name| format!("--plugin-load-add={name}"))).collect()
}

/// What the server runs before anybody is let in.
pub(super) fn first(engine: &Engine) -> Vec<String> {
    let own: &[&str] = match engine.product {
        Product::Mariadb => &FIRST_ON_MARIADB,
        Product::Mysql => &FIRST_ON_MYSQL,
    };
    let mut first: Vec<String> = own.iter().chain(&FIRST).map(|line| (*line).to_owned()).collect();
    if has_plugin(engine, &format!("{CLASSIC_HASHING}.so")) {
        first.push(format!("INSTALL COMPONENT 'file://{CLASSIC_HASHING}';"));
    }
    first
}

/// The same of one that starts on captured files.
pub(super) fn first_on_files() -> Vec<String> {
    FIRST_ON_FILES.iter().map(|line| (*line).to_owned()).collect()
}

/// Whether MySQL's folder of plugins has this one; MariaDB's accounts need none.
fn has_plugin(engine: &Engine, file: &str) -> bool {
    let folder = engine.root().join("lib/mysql/plugin");
    engine.product == Product::Mysql && folder.join(file).is_file()
}

/// What of it a report of recovery times must tell.
pub(super) fn durability(product: Product) -> &'static str {
    match product {
        Product::Mariadb => "innodb_flush_log_at_trx_commit=0, no doublewrite, no sync",
        Product::Mysql => {
            "innodb_flush_log_at_trx_commit=0, innodb_flush_method=nosync, no doublewrite"
        }
    }
}
