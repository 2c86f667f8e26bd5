//! What a login must be allowed to capture a server, as statements for psql.

use super::names::{identifier, literal};
use crate::policy::candidates::Servers;
use crate::policy::sources::ServerSettings;

/// What the role of `settings` needs, and why.
pub(super) fn needs(servers: &Servers<ServerSettings>) -> Vec<String> {
    let settings = servers.any();
    let user = &settings.user;
    let mut needs = vec![
        format!("the role {user} reads everything and writes nothing: pg_read_all_data"),
        "BYPASSRLS, since row-level security would hide rows from dump and fingerprint alike"
            .into(),
        "large objects are granted one by one: run this again when new ones are made, or let the \
         role be a member of their owners"
            .into(),
        "pg_read_all_data also reads the hashes of passwords, which globals.sql then holds".into(),
    ];
    if let Servers::FirstOf(_) = servers {
        needs.push(
            "pg_read_all_stats tells whether a standby receives; what is granted on the primary \
             reaches it"
                .into(),
        );
    }
    if settings.password.is_some() {
        needs.push(format!(
            "the role's password is what `password` names: set it by \\password {user}"
        ));
    }
    needs
}

/// What grants exactly that, one line each, for psql as a superuser; may be run again.
pub(super) fn statements(servers: &Servers<ServerSettings>) -> Vec<String> {
    let settings = servers.any();
    let role = identifier(&settings.user);
    let quoted = literal(&role);
    let named: Vec<String> = settings.databases.iter().map(|name| literal(name)).collect();
    let meant = match named.as_slice() {
        [] => "datallowconn AND NOT datistemplate".to_owned(),
        names => format!("datname IN ({})", names.join(", ")),
    };
    let mut statements = vec![
        block("", &format!("CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL;")),
        format!("ALTER ROLE {role} LOGIN BYPASSRLS;"),
        format!("GRANT pg_read_all_data TO {role};"),
        block(
            "name name;",
            &format!(
                "FOR name IN SELECT datname FROM pg_database WHERE {meant} LOOP \
                 EXECUTE format('GRANT CONNECT ON DATABASE %I TO %s', name, {quoted}); END LOOP;"
            ),
        ),
    ];
    if let Servers::FirstOf(_) = servers {
        statements.push(format!("GRANT pg_read_all_stats TO {role};"));
    }
    let objects = block(
        "number oid;",
        &format!(
            "FOR number IN SELECT oid FROM pg_largeobject_metadata LOOP \
             EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO %s', number, {quoted}); END LOOP;"
        ),
    );
    for database in &settings.databases {
        statements.push(connect(database));
        statements.push(objects.clone());
    }
    if settings.databases.is_empty() {
        statements.push(objects);
        statements
            .push("-- and the same in every other database that has large objects".to_owned());
    }
    statements
}

/// An anonymous block on one line. Its quotes hold any name but one with these very quotes in it.
fn block(declared: &str, body: &str) -> String {
    let declared = if declared.is_empty() { String::new() } else { format!("DECLARE {declared} ") };
    format!("DO $lifeboat${declared}BEGIN {body} END$lifeboat$;")
}

/// psql's command that goes to `database`, whatever its name.
fn connect(database: &str) -> String {
    let value = database.replace('\\', "\\\\").replace('\'', "\\'").replace('"', "\"\"");
    format!("\\connect -reuse-previous=on \"dbname='{value}'\"")
}
