//! The database itself, schemas, default privileges, comments and labels.

use super::super::acl;
use super::super::extensions::{USERS_OID, made_by_one};
use super::super::session::SPOKEN;
use super::super::tables::USERS_SCHEMA;
use super::{own, owner, sorted, without};

pub(super) fn queries() -> Vec<String> {
    vec![
        database(),
        database_settings(),
        schemas(),
        comments(),
        security_labels(),
        security_label_of_database(),
        default_privileges(),
    ]
}

/// Without what the server counts and where its files lie.
fn database() -> String {
    let row = format!(
        "(CASE WHEN {SPOKEN} >= 17 THEN to_jsonb(d) ELSE to_jsonb(d) - \
             CASE WHEN {SPOKEN} < 16 THEN '{{datlocale,daticurules}}'::text[] ELSE '{{datlocale}}' END \
             || jsonb_build_object('daticulocale', \
               coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale')) END)"
    );
    let parts = without(
        &row,
        &[
            "oid",
            "datdba",
            "datacl",
            "datfrozenxid",
            "datminmxid",
            "dattablespace",
            "datcollversion",
            "dathasloginevt",
        ],
    );
    let (owner, grants) = (owner("d.datdba"), acl::text("d", "d.datacl", "d.datdba"));
    format!(
        "SELECT 'database', {parts}, {owner}, {grants}, shobj_description(d.oid, 'pg_database')
         FROM pg_database d WHERE d.datname = current_database()"
    )
}

fn database_settings() -> String {
    let settings = sorted("s.setconfig");
    format!(
        "SELECT 'database', CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole) END, {settings}
         FROM pg_db_role_setting s
         JOIN pg_database d ON d.oid = s.setdatabase AND d.datname = current_database()
         ORDER BY s.setrole <> 0, pg_get_userbyid(s.setrole)::text COLLATE \"C\""
    )
}

fn schemas() -> String {
    let (owner, grants) = (owner("n.nspowner"), acl::text("n", "n.nspacl", "n.nspowner"));
    let own = own("pg_namespace", "n.oid");
    format!(
        "SELECT format('schema %I', n.nspname), {owner}, {grants}
         FROM pg_namespace n WHERE {USERS_SCHEMA} AND {own}"
    )
}

fn comments() -> String {
    let carried = carried();
    format!(
        "SELECT format('comment on %s %s', i.type, i.identity), d.description
         FROM pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) i
         WHERE {carried}"
    )
}

fn security_labels() -> String {
    let carried = carried();
    format!(
        "SELECT format('security label on %s %s', i.type, i.identity), d.provider, d.label
         FROM pg_seclabel d, pg_identify_object(d.classoid, d.objoid, d.objsubid) i
         WHERE {carried} ORDER BY 1, 2"
    )
}

fn security_label_of_database() -> String {
    "SELECT 'database', s.provider, s.label
     FROM pg_shseclabel s JOIN pg_database d ON d.oid = s.objoid
     WHERE s.classoid = 'pg_database'::regclass AND d.datname = current_database() ORDER BY 2"
        .to_owned()
}

/// SQL that is true where a dump carries the object `d` refers to: users made it, or it is the
/// schema `public` (2200) that every database begins with.
fn carried() -> String {
    let made = made_by_one("d.classoid", "d.objoid");
    format!(
        "(d.objoid >= {USERS_OID} OR d.classoid = 'pg_namespace'::regclass AND d.objoid = 2200)
         AND i.identity IS NOT NULL AND d.classoid <> 'pg_subscription'::regclass
         AND coalesce(i.schema, '') !~ '^(pg_|information_schema$)' AND NOT {made}"
    )
}

fn default_privileges() -> String {
    let grants = acl::exploded("a.defaclacl");
    format!(
        "SELECT format('default privileges of %I', pg_get_userbyid(a.defaclrole)),
           n.nspname, a.defaclobjtype, {grants}
         FROM pg_default_acl a LEFT JOIN pg_namespace n ON n.oid = a.defaclnamespace
         WHERE n.nspname IS DISTINCT FROM 'information_schema'
         ORDER BY 1, n.nspname COLLATE \"C\", a.defaclobjtype"
    )
}
