//! Grants on what came with the server or with an extension.
//!
//! A dump leaves such objects out, but not the grants on them that are no longer the first ones,
//! which the server keeps in `pg_init_privs`: on extensions' objects, on all that is in `pg_catalog`,
//! on procedural languages. It carries none on `information_schema`, other languages, tablespaces
//! (`checkExtensionMembership` and `selectDumpable…` in PostgreSQL's `pg_dump.c`). Databases, large
//! objects, settings and default privileges belong to no extension and are compared elsewhere.

use super::super::acl;
use super::super::extensions::made_by_one;

pub(super) fn queries() -> Vec<String> {
    let all = [RELATIONS, COLUMNS, ROUTINES, TYPES, SCHEMAS, LANGUAGES, WRAPPERS, SERVERS];
    let all = all.join(" UNION ALL ");
    let made = made_by_one("o.catalog", "o.id");
    let changed = acl::changed("o.kind", "o.acl", "p.initprivs", "o.owner");
    vec![format!(
        "SELECT format('grant on %s %s', i.type, i.identity), g.changed
         FROM ({all}) o(catalog, id, part, kind, acl, owner, is_servers)
         LEFT JOIN pg_init_privs p
           ON p.classoid = o.catalog AND p.objoid = o.id AND p.objsubid = o.part
         CROSS JOIN LATERAL (SELECT {changed} AS changed) g
         CROSS JOIN LATERAL pg_identify_object(o.catalog, o.id, o.part) i
         WHERE o.acl IS DISTINCT FROM p.initprivs AND (o.is_servers OR {made})
           AND g.changed <> ''"
    )]
}

// What has grants, each with the letter that `acldefault()` knows its kind by.

const RELATIONS: &str = "
    SELECT 'pg_class'::regclass, c.oid, 0, CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\",
      c.relacl, c.relowner, c.relnamespace = 'pg_catalog'::regnamespace
    FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')";

const COLUMNS: &str = "
    SELECT 'pg_class'::regclass, c.oid, a.attnum, 'c', a.attacl, c.relowner,
      c.relnamespace = 'pg_catalog'::regnamespace
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE NOT a.attisdropped";

const ROUTINES: &str = "
    SELECT 'pg_proc'::regclass, f.oid, 0, 'f', f.proacl, f.proowner,
      f.pronamespace = 'pg_catalog'::regnamespace
    FROM pg_proc f";

/// Without the types of tables' rows, whose grants no dump carries.
const TYPES: &str = "
    SELECT 'pg_type'::regclass, t.oid, 0, 'T', t.typacl, t.typowner,
      t.typnamespace = 'pg_catalog'::regnamespace
    FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE c.relkind IS NULL OR c.relkind = 'c'";

const SCHEMAS: &str = "
    SELECT 'pg_namespace'::regclass, n.oid, 0, 'n', n.nspacl, n.nspowner, n.nspname = 'pg_catalog'
    FROM pg_namespace n";

const LANGUAGES: &str = "
    SELECT 'pg_language'::regclass, l.oid, 0, 'l', l.lanacl, l.lanowner, false
    FROM pg_language l WHERE l.lanispl";

const WRAPPERS: &str = "
    SELECT 'pg_foreign_data_wrapper'::regclass, w.oid, 0, 'F', w.fdwacl, w.fdwowner, false
    FROM pg_foreign_data_wrapper w";

const SERVERS: &str = "
    SELECT 'pg_foreign_server'::regclass, s.oid, 0, 'S', s.srvacl, s.srvowner, false
    FROM pg_foreign_server s";
