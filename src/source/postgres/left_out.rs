//! What no dump of this kind carries.

use super::super::{Gap, GapKind};
use super::extensions::{CARRIED, MAKER, USERS_OID, own};
use super::session::{Error, Session};
use super::tables::USERS_SCHEMA;

/// Of the whole server.
pub(super) fn of_cluster(session: &mut Session) -> Result<Vec<Gap>, Error> {
    let settings = session.column(
        "SELECT split_part(o, '=', 1) FROM pg_db_role_setting s, unnest(s.setconfig) o
         WHERE s.setrole = 0 AND s.setdatabase = 0 ORDER BY 1",
    )?;
    let memberships = session.column(PREDEFINED_MEMBERSHIPS)?;
    let all = [
        gap(GapKind::RoleSettings, None, settings),
        gap(GapKind::PredefinedMemberships, None, memberships),
    ];
    Ok(all.into_iter().flatten().collect())
}

/// Of the session's database.
pub(super) fn of_database(session: &mut Session) -> Result<Vec<Gap>, Error> {
    let database = session.database().to_owned();
    let mut all = Vec::new();
    for (kind, query) in [
        (GapKind::UnloggedRows, unlogged()),
        (GapKind::ForeignRows, foreign()),
        (GapKind::MaterialisedRows, materialised()),
        (GapKind::Subscriptions, SUBSCRIPTIONS.to_owned()),
        (GapKind::UserMappings, USER_MAPPINGS.to_owned()),
        (GapKind::Strangers, strangers()),
        (GapKind::DefaultGrants, granted_by_default()),
        (GapKind::PublishedOfExtensions, published()),
        (GapKind::ConstraintTriggers, constraint_triggers()),
    ] {
        let names = session.column(&query)?;
        all.extend(gap(kind, Some(&database), names));
    }
    Ok(all)
}

fn gap(kind: GapKind, database: Option<&str>, names: Vec<String>) -> Option<Gap> {
    let database = database.map(str::to_owned);
    (!names.is_empty()).then_some(Gap { kind, database, names })
}

/// `pg_dumpall` takes memberships among roles named `pg_…` for initdb's; those that initdb makes are
/// in `system_functions.sql`.
const PREDEFINED_MEMBERSHIPS: &str = "
    WITH made(member, role, may_grant) AS (
      SELECT 'pg_monitor'::name, r::name, false
      FROM unnest(ARRAY['pg_read_all_settings', 'pg_read_all_stats', 'pg_stat_scan_tables']) r),
    found AS (
      SELECT b.rolname AS member, a.rolname AS role, m.admin_option AS may_grant
      FROM pg_auth_members m
      JOIN pg_roles a ON a.oid = m.roleid
      JOIN pg_roles b ON b.oid = m.member
      WHERE a.rolname ~ '^pg_' AND b.rolname ~ '^pg_')
    SELECT DISTINCT format('%I in %I', member, role) FROM (
      (TABLE made EXCEPT TABLE found) UNION ALL (TABLE found EXCEPT TABLE made)) AS changed
    ORDER BY 1";

fn unlogged() -> String {
    format!(
        "SELECT format('%I.%I', n.nspname, c.relname)
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         {MAKER}
         WHERE c.relkind = 'r' AND c.relpersistence = 'u' AND {USERS_SCHEMA} AND {CARRIED}
         ORDER BY 1"
    )
}

fn foreign() -> String {
    format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'f' AND {USERS_SCHEMA} ORDER BY 1"
    )
}

fn materialised() -> String {
    format!(
        "SELECT format('%I.%I', n.nspname, c.relname)
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         {MAKER}
         WHERE c.relkind = 'm' AND c.relispopulated AND {USERS_SCHEMA} AND {CARRIED}
         ORDER BY 1"
    )
}

const SUBSCRIPTIONS: &str = "SELECT format('%I', s.subname) FROM pg_subscription s
     JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database() ORDER BY 1";

const USER_MAPPINGS: &str = "SELECT format('%I', u.usename) FROM pg_user_mappings u
     WHERE NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) ORDER BY 1";

/// `pg_dump` takes all that is in `pg_catalog` for the server's.
fn strangers() -> String {
    let of = |catalog: &str, schema: &str, more: &str| {
        let own = own(catalog, "o.oid");
        format!(
            "SELECT i.type || ' ' || i.identity FROM {catalog} o
             CROSS JOIN LATERAL pg_identify_object('{catalog}'::regclass, o.oid, 0) i
             WHERE o.{schema} = 'pg_catalog'::regnamespace AND o.oid >= {USERS_OID} AND {own} {more}"
        )
    };
    let kinds = [
        of("pg_class", "relnamespace", "AND o.relkind NOT IN ('i', 'I', 'c')"),
        of("pg_proc", "pronamespace", ""),
        of("pg_operator", "oprnamespace", ""),
        of("pg_type", "typnamespace", "AND o.typrelid = 0 AND o.typcategory <> 'A'"),
    ];
    kinds.join(" UNION ALL ") + " ORDER BY 1"
}

/// They are in force when the extension is made, and in a restore no longer or not yet.
fn granted_by_default() -> String {
    format!(
        "SELECT DISTINCT i.type || ' ' || i.identity
         FROM pg_init_privs p
         CROSS JOIN LATERAL pg_identify_object(p.classoid, p.objoid, p.objsubid) i
         WHERE p.privtype = 'e' AND EXISTS (SELECT FROM aclexplode(p.initprivs) g
           WHERE g.grantee >= {USERS_OID} AND g.grantee <> g.grantor) ORDER BY 1"
    )
}

fn published() -> String {
    let own = own("pg_class", "r.prrelid");
    format!("SELECT r.prrelid::regclass::text FROM pg_publication_rel r WHERE NOT {own} ORDER BY 1")
}

/// `pg_dump` carries no state of the server's own triggers (`getTriggers` in its `pg_dump.c`).
fn constraint_triggers() -> String {
    let own = own("pg_class", "c.oid");
    format!(
        "SELECT DISTINCT format('%I on %I.%I', k.conname, n.nspname, c.relname)
         FROM pg_trigger t
         JOIN pg_constraint k ON k.oid = t.tgconstraint
         JOIN pg_class c ON c.oid = t.tgrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE t.tgisinternal AND t.tgenabled <> 'O' AND {USERS_SCHEMA} AND {own} ORDER BY 1"
    )
}
