//! The live server as a [`Cluster`]: what a recovery must know of it beyond its dumps.

use super::cluster::{Cluster, Database, Extension, Server};
use super::session::{Error, Row, Session};

/// The major version of the server behind `session`.
pub(super) fn major(session: &mut Session) -> Result<u32, Error> {
    let number: u32 = number(session, "SHOW server_version_num")?;
    Ok(number / 10_000)
}

/// The server behind `session`, without its databases.
pub(super) fn cluster(session: &mut Session) -> Result<Cluster, Error> {
    let row = session.row(
        "SELECT split_part(current_setting('server_version'), ' ', 1),
           (SELECT rolname FROM pg_roles WHERE oid = 10)",
    )?;
    let [version, superuser] = texts(session, row)?;
    Ok(Cluster {
        major: major(session)?,
        version,
        superuser,
        databases: Vec::new(),
        server: server(session)?,
    })
}

fn server(session: &mut Session) -> Result<Server, Error> {
    let row = session.row(
        "SELECT current_setting('data_checksums') = 'on',
           coalesce((SELECT setting FROM pg_settings WHERE name = 'shared_preload_libraries'), ''),
           pg_is_in_recovery(), has_table_privilege('pg_authid', 'SELECT')",
    )?;
    let [checksums, preload_libraries, standby, passwords] = texts(session, row)?;
    let spaces = session.rows(
        "SELECT format('%I at %s', spcname, pg_tablespace_location(oid)) FROM pg_tablespace
         WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY 1",
    )?;
    let segment = "SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'";
    Ok(Server {
        page_checksums: checksums == "t",
        wal_segment_bytes: number(session, segment)?,
        preload_libraries,
        is_standby: standby == "t",
        has_role_passwords: passwords == "t",
        tablespaces: spaces.into_iter().flatten().flatten().collect(),
        gaps: Vec::new(),
    })
}

/// The session's database; `snapshot_time` is the moment of its snapshot.
pub(super) fn database(session: &mut Session, snapshot_time: String) -> Result<Database, Error> {
    // The columns for ICU were renamed in 17; `to_jsonb` reads those that there are.
    let row = session.row(
        "SELECT pg_encoding_to_char(d.encoding), d.datlocprovider, d.datcollate, d.datctype,
           pg_database_size(d.oid), coalesce(j ->> 'datlocale', j ->> 'daticulocale'),
           j ->> 'daticurules', j ->> 'datcollversion'
         FROM pg_database d CROSS JOIN LATERAL to_jsonb(d) j
         WHERE d.datname = current_database()",
    )?;
    let Ok(
        [
            Some(encoding),
            Some(provider),
            Some(collate),
            Some(ctype),
            Some(bytes),
            locale,
            icu_rules,
            collation_version,
        ],
    ) = <[Option<String>; 8]>::try_from(row)
    else {
        return Err(session.unexpected("a database without properties"));
    };
    let provider =
        provider.chars().next().ok_or_else(|| session.unexpected("no provider of locales"))?;
    let bytes = bytes.parse().map_err(|_| session.unexpected("a size that is no number"))?;
    let rows = session.rows("SELECT extname, extversion FROM pg_extension ORDER BY 1")?;
    let extensions = rows
        .into_iter()
        .map(|row| texts(session, row).map(|[name, version]| Extension { name, version }))
        .collect::<Result<_, _>>()?;
    Ok(Database {
        name: session.database().to_owned(),
        encoding,
        provider,
        collate,
        ctype,
        locale,
        icu_rules,
        collation_version,
        extensions,
        bytes,
        snapshot_time,
    })
}

/// A row none of whose values is missing.
fn texts<const N: usize>(session: &Session, row: Row) -> Result<[String; N], Error> {
    let values: Option<Vec<String>> = row.into_iter().collect();
    let values = values.and_then(|values| values.try_into().ok());
    values.ok_or_else(|| session.unexpected("a value that is missing"))
}

fn number<T: std::str::FromStr>(session: &mut Session, sql: &str) -> Result<T, Error> {
    let text = session.value(sql)?;
    text.parse().map_err(|_| session.unexpected("a text where a number was asked for"))
}
