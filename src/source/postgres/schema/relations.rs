//! Tables, views, sequences, and what hangs on them.

use super::super::acl;
use super::super::session::SPOKEN;
use super::super::tables::USERS_SCHEMA;
use super::{own, owner, sorted};

pub(super) fn queries() -> Vec<String> {
    vec![
        tables(),
        columns(),
        column_grants(),
        constraints(),
        indexes(),
        views(),
        rules(),
        triggers(),
        policies(),
        sequences(),
        statistics(),
    ]
}

/// SQL for a relation's kind as users call it.
const KIND: &str = "CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' \
                    WHEN 'f' THEN 'foreign table' ELSE 'table' END";

fn tables() -> String {
    let (options, toast) = (sorted("c.reloptions"), sorted("toast.reloptions"));
    let (owner, grants) = (owner("c.relowner"), acl::text("r", "c.relacl", "c.relowner"));
    let (own, foreign) = (own("pg_class", "c.oid"), sorted("f.ftoptions"));
    format!(
        "SELECT {KIND} || format(' %I.%I', n.nspname, c.relname),
           c.relkind, c.relpersistence, am.amname, {owner}, {grants}, {options}, {toast},
           c.relrowsecurity, c.relforcerowsecurity, c.relreplident,
           pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid),
           (SELECT string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno)
            FROM pg_inherits i WHERE i.inhrelid = c.oid),
           CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END,
           s.srvname, {foreign}
         FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_am am ON am.oid = c.relam
         LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
         LEFT JOIN pg_foreign_table f ON f.ftrelid = c.oid
         LEFT JOIN pg_foreign_server s ON s.oid = f.ftserver
         WHERE c.relkind IN ('r', 'p', 'f') AND {USERS_SCHEMA} AND {own}"
    )
}

/// A child of another table has its columns in another order after a restore.
fn columns() -> String {
    // Recent minor versions keep a counter of their own there (`pg_attver`), which `pg_dump` skips.
    let options = "(SELECT string_agg(o, ',' ORDER BY o COLLATE \"C\") \
                   FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg\\_attver=%')";
    let foreign = sorted("a.attfdwoptions");
    let own = own("pg_class", "c.oid");
    format!(
        "SELECT {KIND} || format(' %I.%I', n.nspname, c.relname),
           a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attstorage,
           a.attcompression, coalesce(a.attstattarget, -1), {options}, {foreign}, a.attislocal,
           (SELECT format('%I.%I', cn.nspname, co.collname) FROM pg_collation co
            JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation)
         FROM pg_attribute a
         JOIN pg_class c ON c.oid = a.attrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND {USERS_SCHEMA} AND {own}
           AND a.attnum > 0 AND NOT a.attisdropped
         ORDER BY 1, CASE WHEN c.relispartition
             OR NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
           THEN a.attnum END, a.attname COLLATE \"C\""
    )
}

/// Those of the system's columns too.
fn column_grants() -> String {
    let (grants, own) = (acl::exploded("a.attacl"), own("pg_class", "c.oid"));
    format!(
        "SELECT {KIND} || format(' %I.%I', n.nspname, c.relname), a.attname, {grants}
         FROM pg_attribute a
         JOIN pg_class c ON c.oid = a.attrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND {USERS_SCHEMA} AND {own}
           AND a.attacl IS NOT NULL AND NOT a.attisdropped
         ORDER BY 1, a.attname COLLATE \"C\""
    )
}

/// Those of partitions that follow from their parent's are named anew by a restore, as is an
/// inherited NOT NULL, which stands with the columns; constraint triggers stand with the triggers.
fn constraints() -> String {
    let own = own("pg_class", "c.oid");
    format!(
        "SELECT format('constraint %I on %I.%I', k.conname, n.nspname, c.relname),
           pg_get_constraintdef(k.oid), k.conislocal
         FROM pg_constraint k
         JOIN pg_class c ON c.oid = k.conrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE k.contype <> 't' AND (k.contype <> 'n' OR k.coninhcount = 0 AND {SPOKEN} >= 18)
           AND k.conparentid = 0
           AND {USERS_SCHEMA} AND {own}"
    )
}

fn indexes() -> String {
    let own = own("pg_class", "t.oid");
    format!(
        "SELECT format('index %I.%I', n.nspname, c.relname),
           pg_get_indexdef(i.indexrelid), i.indisclustered, i.indisreplident,
           (SELECT h.inhparent::regclass::text FROM pg_inherits h WHERE h.inhrelid = c.oid),
           (SELECT string_agg(concat(a.attnum, ':', a.attstattarget), ',' ORDER BY a.attnum)
            FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attstattarget >= 0)
         FROM pg_index i
         JOIN pg_class c ON c.oid = i.indexrelid
         JOIN pg_class t ON t.oid = i.indrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE (i.indisvalid OR t.relkind = 'p') AND {USERS_SCHEMA} AND {own}"
    )
}

/// Whether a materialised view is populated belongs to it; its rows a restore computes anew.
fn views() -> String {
    let (options, toast) = (sorted("c.reloptions"), sorted("toast.reloptions"));
    let (owner, grants) = (owner("c.relowner"), acl::text("r", "c.relacl", "c.relowner"));
    let own = own("pg_class", "c.oid");
    format!(
        "SELECT {KIND} || format(' %I.%I', n.nspname, c.relname),
           pg_get_viewdef(c.oid), {owner}, {grants}, {options}, {toast}, am.amname,
           c.relispopulated, c.relreplident
         FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_am am ON am.oid = c.relam
         LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
         WHERE c.relkind IN ('v', 'm') AND {USERS_SCHEMA} AND {own}"
    )
}

fn rules() -> String {
    let own = own("pg_class", "c.oid");
    format!(
        "SELECT format('rule %I on %I.%I', r.rulename, n.nspname, c.relname),
           pg_get_ruledef(r.oid), r.ev_enabled
         FROM pg_rewrite r
         JOIN pg_class c ON c.oid = r.ev_class
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE r.rulename <> '_RETURN' AND {USERS_SCHEMA} AND {own}"
    )
}

/// Those of partitions that follow from their parent's are made with it; such a one is told where
/// it is not enabled as its parent is.
fn triggers() -> String {
    let own = own("pg_class", "c.oid");
    format!(
        "SELECT format('trigger %I on %I.%I', t.tgname, n.nspname, c.relname),
           pg_get_triggerdef(t.oid), t.tgenabled
         FROM pg_trigger t
         JOIN pg_class c ON c.oid = t.tgrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_trigger parent ON parent.oid = t.tgparentid
         WHERE NOT t.tgisinternal AND (t.tgparentid = 0 OR t.tgenabled <> parent.tgenabled)
           AND {USERS_SCHEMA} AND {own}"
    )
}

fn policies() -> String {
    let own = own("pg_class", "c.oid");
    format!(
        "SELECT format('policy %I on %I.%I', p.polname, n.nspname, c.relname),
           p.polcmd, p.polpermissive,
           (SELECT string_agg(CASE r WHEN 0 THEN 'public' ELSE pg_get_userbyid(r) END, ','
              ORDER BY pg_get_userbyid(r)::text COLLATE \"C\") FROM unnest(p.polroles) r),
           pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
         FROM pg_policy p
         JOIN pg_class c ON c.oid = p.polrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {USERS_SCHEMA} AND {own}"
    )
}

/// Their definitions: what they have come to is no part of a snapshot.
fn sequences() -> String {
    let (owner, grants) = (owner("c.relowner"), acl::text("s", "c.relacl", "c.relowner"));
    let own = own("pg_class", "c.oid");
    format!(
        "SELECT format('sequence %I.%I', n.nspname, c.relname),
           format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
           s.seqcache, s.seqcycle, c.relpersistence, {owner}, {grants},
           (SELECT format('%s.%I %s', d.refobjid::regclass, a.attname, d.deptype)
            FROM pg_depend d
            JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
              AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
            ORDER BY 1 LIMIT 1)
         FROM pg_sequence s
         JOIN pg_class c ON c.oid = s.seqrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {USERS_SCHEMA} AND {own}"
    )
}

fn statistics() -> String {
    let (owner, own) = (owner("s.stxowner"), own("pg_statistic_ext", "s.oid"));
    format!(
        "SELECT format('statistics %I.%I', n.nspname, s.stxname),
           pg_get_statisticsobjdef(s.oid), coalesce(s.stxstattarget, -1), {owner}
         FROM pg_statistic_ext s
         JOIN pg_namespace n ON n.oid = s.stxnamespace
         WHERE {USERS_SCHEMA} AND {own}"
    )
}
