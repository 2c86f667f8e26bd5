//! What every database begins with: no dump can say that it was dropped.
//!
//! In: a capture, then its restored databases. A database that dropped its schema `public` has one
//! again once it is restored, for the server makes it. As the server made it, that is no difference;
//! whatever stands in it, or was granted on it, still is one.

use std::collections::BTreeSet;

use super::super::extensions::USERS_OID;
use super::super::names::readable;
use super::super::session::{Error, Session};
use crate::source::{Capture, Fingerprint};

/// Objects of the schema that the server makes together, and SQL that is true where they are as it
/// made them.
fn made() -> [(&'static [&'static str], String); 2] {
    let public = "SELECT n.nspowner = 'pg_database_owner'::regrole
       AND n.nspacl IS NOT DISTINCT FROM p.initprivs
       AND obj_description(n.oid, 'pg_namespace') = 'standard public schema'
     FROM pg_namespace n
     LEFT JOIN pg_init_privs p ON p.classoid = 'pg_namespace'::regclass AND p.objoid = n.oid
     WHERE n.nspname = 'public'";
    let plpgsql = format!("SELECT oid < {USERS_OID} FROM pg_extension WHERE extname = 'plpgsql'");
    [
        (&["schema public", "comment on schema public"], public.to_owned()),
        (&["extension plpgsql"], plpgsql),
    ]
}

/// The beginnings that captured databases had dropped, by their objects' names.
pub(in super::super) struct Dropped(BTreeSet<String>);

impl Dropped {
    /// What the databases of `capture` lack.
    pub(in super::super) fn of(capture: &Capture) -> Self {
        let databases = capture.cluster.iter().flat_map(|cluster| &cluster.databases);
        let all = databases.flat_map(|one| made().map(|(objects, _)| named(&one.name, objects[0])));
        Self(all.filter(|name| !capture.fingerprint.schema.contains_key(name)).collect())
    }

    /// Takes out of `found` what the session's database has only because the server made it.
    pub(in super::super) fn forgive(
        &self,
        session: &mut Session,
        found: &mut Fingerprint,
    ) -> Result<(), Error> {
        for (objects, is_as_made) in made() {
            let name = named(session.database(), objects[0]);
            let came_back = self.0.contains(&name) && found.schema.contains_key(&name);
            if came_back && session.value(&is_as_made)? == "t" {
                for object in objects {
                    found.schema.remove(&named(session.database(), object));
                }
            }
        }
        Ok(())
    }
}

/// An object as fingerprints name it.
fn named(database: &str, object: &str) -> String {
    format!("{}: {object}", readable(database))
}
