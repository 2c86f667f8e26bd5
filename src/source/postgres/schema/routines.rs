//! Functions, aggregates, operators and the like.

use super::super::acl;
use super::super::extensions::USERS_OID;
use super::super::tables::USERS_SCHEMA;
use super::{own, owner, whole};

pub(super) fn queries() -> Vec<String> {
    vec![
        functions(),
        aggregates(),
        event_triggers(),
        languages(),
        operators(),
        operator_classes(),
        operator_families(),
        casts(),
        transforms(),
        access_methods(),
    ]
}

/// What a function is called with, as part of its name.
const SIGNATURE: &str =
    "format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))";

fn functions() -> String {
    let (owner, grants) = (owner("p.proowner"), acl::text("f", "p.proacl", "p.proowner"));
    let own = own("pg_proc", "p.oid");
    format!(
        "SELECT CASE p.prokind WHEN 'p' THEN 'procedure ' ELSE 'function ' END || {SIGNATURE},
           pg_get_functiondef(p.oid), {owner}, {grants}
         FROM pg_proc p
         JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE p.prokind <> 'a' AND {USERS_SCHEMA} AND {own}"
    )
}

fn aggregates() -> String {
    let (owner, grants) = (owner("p.proowner"), acl::text("f", "p.proacl", "p.proowner"));
    let own = own("pg_proc", "p.oid");
    // Functions, operators and types are printed by name here.
    let parts = "to_jsonb(a) - '{aggfnoid,aggsortop,aggtranstype,aggmtranstype}'::text[]";
    format!(
        "SELECT 'aggregate ' || {SIGNATURE}, ({parts})::text, a.aggsortop::regoperator,
           format_type(a.aggtranstype, NULL), format_type(a.aggmtranstype, NULL),
           pg_get_function_result(p.oid), pg_get_function_arguments(p.oid), p.proparallel,
           {owner}, {grants}
         FROM pg_aggregate a
         JOIN pg_proc p ON p.oid = a.aggfnoid
         JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE {USERS_SCHEMA} AND {own}"
    )
}

fn event_triggers() -> String {
    let (owner, own) = (owner("e.evtowner"), own("pg_event_trigger", "e.oid"));
    format!(
        "SELECT format('event trigger %I', e.evtname), e.evtevent, e.evtfoid::regproc,
           e.evtenabled, e.evttags, {owner}
         FROM pg_event_trigger e WHERE {own}"
    )
}

fn languages() -> String {
    let (owner, grants) = (owner("l.lanowner"), acl::text("l", "l.lanacl", "l.lanowner"));
    let own = own("pg_language", "l.oid");
    format!(
        "SELECT format('language %I', l.lanname), l.lanpltrusted,
           l.lanplcallfoid::regproc, l.laninline::regproc, l.lanvalidator::regproc,
           {owner}, {grants}
         FROM pg_language l WHERE l.lanispl AND {own}"
    )
}

fn operators() -> String {
    let (owner, own) = (owner("o.oprowner"), own("pg_operator", "o.oid"));
    format!(
        "SELECT 'operator ' || o.oid::regoperator, o.oprkind, o.oprcanmerge, o.oprcanhash,
           o.oprcode::regproc, o.oprcom::regoperator, o.oprnegate::regoperator,
           o.oprrest::regproc, o.oprjoin::regproc, {owner}
         FROM pg_operator o
         JOIN pg_namespace n ON n.oid = o.oprnamespace
         WHERE {USERS_SCHEMA} AND {own}"
    )
}

fn operator_classes() -> String {
    let (owner, own) = (owner("o.opcowner"), own("pg_opclass", "o.oid"));
    format!(
        "SELECT format('operator class %I.%I using %I', n.nspname, o.opcname, am.amname),
           format_type(o.opcintype, NULL), o.opcdefault, format_type(o.opckeytype, NULL),
           fn.nspname, f.opfname, {owner}
         FROM pg_opclass o
         JOIN pg_namespace n ON n.oid = o.opcnamespace
         JOIN pg_am am ON am.oid = o.opcmethod
         JOIN pg_opfamily f ON f.oid = o.opcfamily
         JOIN pg_namespace fn ON fn.oid = f.opfnamespace
         WHERE {USERS_SCHEMA} AND {own}"
    )
}

/// With their operators and support functions, those of their classes among them.
fn operator_families() -> String {
    let (owner, own) = (owner("f.opfowner"), own("pg_opfamily", "f.oid"));
    format!(
        "SELECT format('operator family %I.%I using %I', n.nspname, f.opfname, am.amname),
           {owner},
           (SELECT string_agg(concat_ws(' ', o.amopstrategy, o.amopopr::regoperator,
              o.amoppurpose,
              (SELECT format('%I.%I', sn.nspname, s.opfname) FROM pg_opfamily s
               JOIN pg_namespace sn ON sn.oid = s.opfnamespace WHERE s.oid = o.amopsortfamily)), ',' ORDER BY o.amopstrategy,
              o.amopopr::regoperator::text COLLATE \"C\")
            FROM pg_amop o WHERE o.amopfamily = f.oid),
           (SELECT string_agg(concat_ws(' ', p.amprocnum, format_type(p.amproclefttype, NULL),
              format_type(p.amprocrighttype, NULL), p.amproc::regprocedure), ','
              ORDER BY p.amprocnum, p.amproc::regprocedure::text COLLATE \"C\")
            FROM pg_amproc p WHERE p.amprocfamily = f.oid)
         FROM pg_opfamily f
         JOIN pg_namespace n ON n.oid = f.opfnamespace
         JOIN pg_am am ON am.oid = f.opfmethod
         WHERE {USERS_SCHEMA} AND {own}"
    )
}

fn casts() -> String {
    let own = own("pg_cast", "k.oid");
    format!(
        "SELECT format('cast (%s as %s)', format_type(k.castsource, NULL),
             format_type(k.casttarget, NULL)),
           k.castfunc::regprocedure, k.castcontext, k.castmethod
         FROM pg_cast k WHERE k.oid >= {USERS_OID} AND {own}"
    )
}

fn transforms() -> String {
    let own = own("pg_transform", "t.oid");
    format!(
        "SELECT format('transform for %s language %I', format_type(t.trftype, NULL), l.lanname),
           t.trffromsql::regprocedure, t.trftosql::regprocedure
         FROM pg_transform t JOIN pg_language l ON l.oid = t.trflang
         WHERE t.oid >= {USERS_OID} AND {own}"
    )
}

fn access_methods() -> String {
    let (own, parts) = (own("pg_am", "am.oid"), whole("am", &["oid"]));
    format!(
        "SELECT format('access method %I', am.amname), {parts}
         FROM pg_am am WHERE am.oid >= {USERS_OID} AND {own}"
    )
}
