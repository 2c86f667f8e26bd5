//! The engine's own check: `pg_amcheck` over every table and every B-tree of every database.

use std::num::NonZeroU64;
use std::time::Duration;

use super::super::Cluster;
use super::super::names;
use super::findings::places;
use super::server::Server;
use super::{Error, complaint, data, environment, of_session};
use crate::sandbox::{Ending, Out};
use crate::source::{Checked, Place, Trouble};

/// What `pg_amcheck` answers where it found something.
const FOUND: Ending = Ending::Exited(2);

/// Checks all databases; the relations it looked at are what was compared.
pub(super) fn check(server: &Server, cluster: &Cluster) -> Result<Checked, Trouble> {
    let (mut relations, mut problems) = (0, Vec::new());
    for database in &cluster.databases {
        let mut session = server.session(&database.name)?;
        let value =
            |session: &mut super::super::Session, sql: &str| session.value(sql).map_err(of_session);
        let has = "SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'";
        let is_there = value(&mut session, has)? != "0";
        if !is_there {
            let made = session.run("CREATE EXTENSION amcheck SCHEMA pg_catalog");
            made.map_err(environment)?;
        }
        // Tables, their out-of-line parts and materialised views, and B-trees: what it looks at.
        let counted = value(
            &mut session,
            "SELECT count(*) FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
             WHERE c.relpersistence <> 't' AND (c.relkind IN ('r', 'm', 't')
               OR c.relkind = 'i' AND i.indisvalid AND c.relam = 403)",
        )?;
        relations += counted.parse::<u64>().unwrap_or(0);
        problems.extend(of_database(server, &database.name)?);
        if !is_there {
            // The schema is still to be compared.
            session.run("DROP EXTENSION amcheck").map_err(of_session)?;
        }
    }
    Ok(Checked { compared: NonZeroU64::new(relations), problems })
}

fn of_database(server: &Server, database: &str) -> Result<Vec<Place>, Trouble> {
    let amcheck = server
        .client("pg_amcheck")
        .args(["--heapallindexed", "--parent-check", "--jobs", "2"])
        .arg(names::connection_to(database));
    let finished = server.cage().run(&amcheck, Out::Kept, Duration::MAX).map_err(environment)?;
    let places = places(&String::from_utf8_lossy(&finished.stdout), database);
    match finished.ending {
        Ending::Exited(0) if places.is_empty() => Ok(places),
        FOUND if !places.is_empty() => Ok(places),
        _ => {
            complaint::none("pg_amcheck", &finished)?;
            let how = finished.ending.to_string();
            let what = "its answer does not fit how it ended".to_owned();
            Err(data(Error::Program { program: "pg_amcheck".into(), how, what }))
        }
    }
}
