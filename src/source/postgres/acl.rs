//! Grants as text that is the same wherever they were made.

use super::session::SPOKEN;

/// The version that knows this privilege first, and grants it to owners.
const FIRST_WITH_MAINTAIN: u32 = 17;

/// SQL for the grants in the column `acl` of an object whose owner is `owner` and whose kind is
/// `kind`, a letter of `acldefault()`: by names, in order, defaults written out. A dump leaves
/// defaults out, and a restored object has none written down.
pub(super) fn text(kind: &str, acl: &str, owner: &str) -> String {
    exploded(&with_defaults(&format!("'{kind}'"), acl, owner))
}

/// As [`text`], for what has no defaults.
pub(super) fn exploded(acl: &str) -> String {
    let (grantee, grantor) = (name("g.grantee"), name("g.grantor"));
    format!(
        "(SELECT coalesce(string_agg(format('%I=%s%s/%I', {grantee}, \
           g.privilege_type, CASE WHEN g.is_grantable THEN '*' ELSE '' END, {grantor}), ',' \
           ORDER BY g.grantee <> 0, {grantee} COLLATE \"C\", g.privilege_type COLLATE \"C\", \
           {grantor} COLLATE \"C\", g.is_grantable), '') \
         FROM aclexplode({acl}) g
         WHERE g.privilege_type <> 'MAINTAIN' OR {SPOKEN} >= {FIRST_WITH_MAINTAIN})"
    )
}

/// SQL for what a dump writes of an object that it does not make: all grants by one to another
/// that are not as in `first`; empty where all are. The owner stands without his name, for a
/// restore makes another superuser the owner.
pub(super) fn changed(kind: &str, acl: &str, first: &str, owner: &str) -> String {
    // No role can be called so.
    let role = |role: &str| format!("CASE {role} WHEN {owner} THEN '' ELSE {} END", name(role));
    let (grantee, grantor) = (role("g.grantee"), role("g.grantor"));
    let (acl, first) = (with_defaults(kind, acl, owner), with_defaults(kind, first, owner));
    let privileges = "string_agg(concat(g.privilege_type, CASE WHEN g.is_grantable THEN '*' END), \
                      '+' ORDER BY g.privilege_type COLLATE \"C\", g.is_grantable)";
    format!(
        "(SELECT coalesce(string_agg(format('%I=%s/%I', s.grantee, s.now, s.grantor), ',' \
           ORDER BY s.grantee COLLATE \"C\", s.grantor COLLATE \"C\"), '') \
         FROM (SELECT {grantee} AS grantee, {grantor} AS grantor, \
             {privileges} FILTER (WHERE g.is_now) AS now, \
             {privileges} FILTER (WHERE NOT g.is_now) AS first \
           FROM (SELECT true AS is_now, a.* FROM aclexplode({acl}) a \
             UNION ALL SELECT false, a.* FROM aclexplode({first}) a) g GROUP BY 1, 2) s \
         WHERE s.now IS DISTINCT FROM s.first)"
    )
}

fn with_defaults(kind: &str, acl: &str, owner: &str) -> String {
    format!("coalesce({acl}, acldefault({kind}, {owner}))")
}

fn name(role: &str) -> String {
    format!("CASE {role} WHEN 0 THEN 'public' ELSE pg_get_userbyid({role})::text END")
}
