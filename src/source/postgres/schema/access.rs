//! The database itself, schemas, comments, and grants that stand with no object of the users.

use super::super::acl;
use super::super::tables::USERS_SCHEMA;
use super::{own, owner, sorted, whole};

pub(super) fn queries() -> Vec<String> {
    vec![
        database(),
        database_settings(),
        schemas(),
        comments(),
        security_labels(),
        default_privileges(),
        system_grants("pg_class", "c.relname", "relacl", "relowner", "relnamespace", "r"),
        system_grants("pg_proc", "c.oid::regprocedure", "proacl", "proowner", "pronamespace", "f"),
    ]
}

/// Without what the server counts and where its files lie.
fn database() -> String {
    let parts = whole(
        "d",
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

/// The objects that users made, and the schema `public` (2200) that every database begins with.
const USERS_OBJECT: &str = "(d.objoid >= 16384 \
                            OR d.classoid = 'pg_namespace'::regclass AND d.objoid = 2200)";

fn comments() -> String {
    let own = of_users("d");
    format!(
        "SELECT format('comment on %s %s', i.type, i.identity), d.description
         FROM pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) i
         WHERE {USERS_OBJECT} AND {own}"
    )
}

fn security_labels() -> String {
    let own = of_users("d");
    format!(
        "SELECT format('security label on %s %s', i.type, i.identity), d.provider, d.label
         FROM pg_seclabel d, pg_identify_object(d.classoid, d.objoid, d.objsubid) i
         WHERE {USERS_OBJECT} AND {own} ORDER BY 1, 2"
    )
}

/// SQL that is true where neither an extension nor a temporary table brought the object.
fn of_users(alias: &str) -> String {
    format!(
        "i.identity IS NOT NULL AND coalesce(i.schema, '') !~ '^pg_(temp|toast)'
         AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = {alias}.classoid
           AND e.objid = {alias}.objoid AND e.deptype = 'e')"
    )
}

fn default_privileges() -> String {
    let grants = acl::exploded("a.defaclacl");
    format!(
        "SELECT format('default privileges of %I', pg_get_userbyid(a.defaclrole)),
           n.nspname, a.defaclobjtype, {grants}
         FROM pg_default_acl a LEFT JOIN pg_namespace n ON n.oid = a.defaclnamespace
         ORDER BY 1, n.nspname COLLATE \"C\", a.defaclobjtype"
    )
}

/// Grants on the server's own objects that are no longer those of `initdb`.
fn system_grants(
    catalog: &str,
    name: &str,
    acl: &str,
    owner: &str,
    namespace: &str,
    kind: &str,
) -> String {
    let now = acl::text(kind, &format!("c.{acl}"), &format!("c.{owner}"));
    let first = acl::text(kind, "i.initprivs", &format!("c.{owner}"));
    let what = if kind == "f" { "function" } else { "table" };
    format!(
        "SELECT format('grant on {what} %s.%s', n.nspname, {name}), {now}
         FROM {catalog} c
         JOIN pg_namespace n ON n.oid = c.{namespace}
         LEFT JOIN pg_init_privs i ON i.classoid = '{catalog}'::regclass AND i.objoid = c.oid
           AND i.objsubid = 0
         WHERE c.oid < 16384 AND c.{acl} IS DISTINCT FROM i.initprivs AND {now} <> {first}"
    )
}
