//! What a login must be allowed to capture a server, as statements for the server's client.

use super::Product;
use super::names::{identifier, literal};
use super::privileges::{OF_DATABASE, OF_SYSTEM};
use crate::policy::candidates::Servers;
use crate::policy::sources::ServerSettings;

/// What the account of `settings` needs, and why.
pub(super) fn needs(product: Product, servers: &Servers<ServerSettings>) -> Vec<String> {
    let settings = servers.any();
    let user = &settings.user;
    let mut needs = vec![
        format!("the account {user} of {} reads everything and writes nothing", product.name()),
        format!(
            "RELOAD holds commits back while dump and fingerprint take their snapshots, {}, SHOW \
             DATABASES names what no policy protects",
            match product {
                Product::Mariadb => "PROCESS and BINLOG MONITOR tell where the server stands",
                Product::Mysql => {
                    "BACKUP_ADMIN holds definitions back first, REPLICATION CLIENT tells where the \
                     server stands, SHOW_ROUTINE shows routines of others"
                }
            }
        ),
        "without SHOW VIEW, TRIGGER and EVENT views, triggers and events would be missing from dump \
         and fingerprint alike"
            .to_owned(),
        "SELECT on mysql reads accounts with the hashes of their passwords, and of MariaDB routines"
            .to_owned(),
        match settings.password {
            Some(_) => format!(
                "the account's password is what `password` names: ALTER USER {} IDENTIFIED BY …",
                account(servers)
            ),
            None => format!(
                "without a password the account is its name on this host ({})",
                socket_plugin(product)
            ),
        },
    ];
    if let Some(privilege) = of_replicas(product, servers) {
        needs.push(format!(
            "{privilege} tells how far a replica is behind; what is granted on the primary reaches it"
        ));
    }
    needs
}

/// What only a server among several must be asked beyond the others.
fn of_replicas(product: Product, servers: &Servers<ServerSettings>) -> Option<&'static str> {
    match (servers, product) {
        (Servers::FirstOf(_), Product::Mariadb) => Some("REPLICA MONITOR"),
        // REPLICATION CLIENT is enough there.
        (Servers::FirstOf(_), Product::Mysql) | (Servers::One(_), _) => None,
    }
}

/// The same where the server's files are captured.
pub(super) fn needs_beside(product: Product, servers: &Servers<ServerSettings>) -> Vec<String> {
    let mut needs = needs(product, servers);
    needs.push(
        "lifeboat itself runs on the server's host, as root or as the server's user: it reads the \
         server's files and its binary logs"
            .to_owned(),
    );
    needs
}

/// What grants exactly that, one line each; may be run again.
pub(super) fn statements(product: Product, servers: &Servers<ServerSettings>) -> Vec<String> {
    let settings = servers.any();
    let to = account(servers);
    let made = match settings.password {
        // Nobody can log in before the password was set.
        Some(_) => format!("CREATE USER IF NOT EXISTS {to} ACCOUNT LOCK;"),
        None => {
            let by = if product == Product::Mariadb { "VIA" } else { "WITH" };
            format!("CREATE USER IF NOT EXISTS {to} IDENTIFIED {by} {};", socket_plugin(product))
        }
    };
    let mut global = product.global_privileges().to_vec();
    global.extend(of_replicas(product, servers));
    let global = global.join(", ");
    let mut statements = vec![made, format!("GRANT {global} ON *.* TO {to};")];
    let of_database = OF_DATABASE.join(", ");
    match &settings.databases[..] {
        [] => statements.push(format!("GRANT {of_database} ON *.* TO {to};")),
        databases => statements.extend(databases.iter().map(|name| {
            // In grants a database is a pattern.
            let pattern = name.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%");
            format!("GRANT {of_database} ON {}.* TO {to};", identifier(&pattern))
        })),
    }
    statements.push(format!("GRANT {} ON mysql.* TO {to};", OF_SYSTEM.join(", ")));
    if settings.password.is_some() {
        statements.push(format!(
            "-- {to} stays locked until it is given the password that the source's `password` names; run:"
        ));
        statements.push(format!("-- ALTER USER {to} IDENTIFIED BY 'THE PASSWORD' ACCOUNT UNLOCK;"));
    }
    statements
}

/// What lets an account of this host in that the server's socket shows to be it.
fn socket_plugin(product: Product) -> &'static str {
    match product {
        Product::Mariadb => "unix_socket",
        Product::Mysql => "auth_socket",
    }
}

fn account(servers: &Servers<ServerSettings>) -> String {
    let is_here = servers.all().all(|server| server.host.starts_with('/'));
    let host = if is_here { "localhost" } else { "%" };
    format!("{}@{}", literal(&servers.any().user), literal(host))
}
