//! Types, collations, and text search.

use super::super::acl;
use super::super::session::SPOKEN;
use super::super::tables::USERS_SCHEMA;
use super::{own, owner, whole, without};

pub(super) fn queries() -> Vec<String> {
    vec![
        types(),
        labels(),
        attributes(),
        checks(),
        ranges(),
        collations(),
        conversions(),
        search_configurations(),
        search_dictionaries(),
        search_parsers(),
        search_templates(),
    ]
}

/// The condition that a type is one that users made by itself: not a table's row, not an array,
/// not the multirange that comes with a range.
fn made() -> String {
    format!(
        "{USERS_SCHEMA} AND {} AND NOT EXISTS
           (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
         AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
         AND t.typtype <> 'm'",
        own("pg_type", "t.oid")
    )
}

const NAME: &str = "CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END \
                    || format(' %I.%I', n.nspname, t.typname)";

/// The text of a default stays as it was typed; its expression follows what it names.
fn types() -> String {
    let (owner, grants) = (owner("t.typowner"), acl::text("T", "t.typacl", "t.typowner"));
    let made = made();
    format!(
        "SELECT {NAME}, t.typtype, t.typisdefined, t.typcategory, t.typispreferred, t.typdelim,
           t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout,
           t.typanalyze, t.typsubscript, t.typalign, t.typstorage, t.typlen, t.typbyval, t.typnotnull,
           format_type(t.typbasetype, t.typtypmod), format_type(t.typelem, NULL), t.typndims,
           coalesce(pg_get_expr(t.typdefaultbin, 'pg_type'::regclass), t.typdefault),
           (SELECT format('%I.%I', cn.nspname, co.collname) FROM pg_collation co
            JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = t.typcollation),
           {owner}, {grants}
         FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {made}"
    )
}

fn labels() -> String {
    let made = made();
    format!(
        "SELECT {NAME}, e.enumlabel
         FROM pg_enum e
         JOIN pg_type t ON t.oid = e.enumtypid
         JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE {made} ORDER BY 1, e.enumsortorder"
    )
}

fn attributes() -> String {
    let made = made();
    format!(
        "SELECT {NAME}, a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation
         FROM pg_attribute a
         JOIN pg_type t ON t.typrelid = a.attrelid
         JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE a.attnum > 0 AND NOT a.attisdropped AND {made} ORDER BY 1, a.attnum"
    )
}

/// A domain's NOT NULL is one since 17; it stands with the type, too.
fn checks() -> String {
    let made = made();
    format!(
        "SELECT {NAME}, k.conname, pg_get_constraintdef(k.oid)
         FROM pg_constraint k
         JOIN pg_type t ON t.oid = k.contypid
         JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE {made} AND (k.contype <> 'n' OR {SPOKEN} >= 17) ORDER BY 1, k.conname COLLATE \"C\""
    )
}

fn ranges() -> String {
    let made = made();
    format!(
        "SELECT {NAME}, format_type(r.rngsubtype, NULL), r.rngcollation::regcollation,
           opn.nspname, o.opcname, r.rngcanonical, r.rngsubdiff, format_type(r.rngmultitypid, NULL)
         FROM pg_range r
         JOIN pg_type t ON t.oid = r.rngtypid
         JOIN pg_namespace n ON n.oid = t.typnamespace
         JOIN pg_opclass o ON o.oid = r.rngsubopc
         JOIN pg_namespace opn ON opn.oid = o.opcnamespace
         WHERE {made}"
    )
}

/// Without the version of the library that sorts: it belongs to the host, not to the collation.
fn collations() -> String {
    let (owner, own) = (owner("o.collowner"), own("pg_collation", "o.oid"));
    let row = format!(
        "(SELECT CASE WHEN {SPOKEN} >= 17 THEN to_jsonb(o) ELSE to_jsonb(o) - \
             CASE WHEN {SPOKEN} < 16 THEN '{{colllocale,collicurules}}'::text[] ELSE '{{colllocale}}' END \
             || jsonb_build_object('colliculocale', \
               coalesce(to_jsonb(o) ->> 'colllocale', to_jsonb(o) ->> 'colliculocale')) END)"
    );
    let parts = without(&row, &["oid", "collnamespace", "collowner", "collversion"]);
    format!(
        "SELECT format('collation %I.%I', n.nspname, o.collname), {parts}, {owner}
         FROM pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace
         WHERE {USERS_SCHEMA} AND {own}"
    )
}

fn conversions() -> String {
    let (owner, own) = (owner("o.conowner"), own("pg_conversion", "o.oid"));
    let parts = whole("o", &["oid", "connamespace", "conowner"]);
    format!(
        "SELECT format('conversion %I.%I', n.nspname, o.conname), {parts}, {owner}
         FROM pg_conversion o JOIN pg_namespace n ON n.oid = o.connamespace
         WHERE {USERS_SCHEMA} AND {own}"
    )
}

fn search_configurations() -> String {
    let (owner, own) = (owner("o.cfgowner"), own("pg_ts_config", "o.oid"));
    format!(
        "SELECT format('text search configuration %I.%I', n.nspname, o.cfgname), {owner},
           pn.nspname, p.prsname,
           (SELECT string_agg(concat_ws(' ', m.maptokentype, m.mapseqno, m.mapdict::regdictionary),
              ',' ORDER BY m.maptokentype, m.mapseqno)
            FROM pg_ts_config_map m WHERE m.mapcfg = o.oid)
         FROM pg_ts_config o
         JOIN pg_namespace n ON n.oid = o.cfgnamespace
         JOIN pg_ts_parser p ON p.oid = o.cfgparser
         JOIN pg_namespace pn ON pn.oid = p.prsnamespace
         WHERE {USERS_SCHEMA} AND {own}"
    )
}

fn search_dictionaries() -> String {
    let (owner, own) = (owner("o.dictowner"), own("pg_ts_dict", "o.oid"));
    format!(
        "SELECT format('text search dictionary %I.%I', n.nspname, o.dictname), {owner},
           tn.nspname, t.tmplname, o.dictinitoption
         FROM pg_ts_dict o
         JOIN pg_namespace n ON n.oid = o.dictnamespace
         JOIN pg_ts_template t ON t.oid = o.dicttemplate
         JOIN pg_namespace tn ON tn.oid = t.tmplnamespace
         WHERE {USERS_SCHEMA} AND {own}"
    )
}

fn search_parsers() -> String {
    let (own, parts) = (own("pg_ts_parser", "o.oid"), whole("o", &["oid", "prsnamespace"]));
    format!(
        "SELECT format('text search parser %I.%I', n.nspname, o.prsname), {parts}
         FROM pg_ts_parser o JOIN pg_namespace n ON n.oid = o.prsnamespace
         WHERE {USERS_SCHEMA} AND {own}"
    )
}

fn search_templates() -> String {
    let (own, parts) = (own("pg_ts_template", "o.oid"), whole("o", &["oid", "tmplnamespace"]));
    format!(
        "SELECT format('text search template %I.%I', n.nspname, o.tmplname), {parts}
         FROM pg_ts_template o JOIN pg_namespace n ON n.oid = o.tmplnamespace
         WHERE {USERS_SCHEMA} AND {own}"
    )
}
