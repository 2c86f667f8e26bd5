//! Grants as text that is the same wherever they were made.

/// SQL for the grants in the column `acl` of an object whose owner is `owner` and whose kind is
/// `kind`, a letter of `acldefault()`: by names, in order, defaults written out. A dump leaves
/// defaults out, and a restored object has none written down.
pub(super) fn text(kind: &str, acl: &str, owner: &str) -> String {
    exploded(&format!("coalesce({acl}, acldefault('{kind}', {owner}))"))
}

/// As [`text`], for what has no defaults.
pub(super) fn exploded(acl: &str) -> String {
    format!(
        "(SELECT coalesce(string_agg(format('%I=%s%s/%I', \
           CASE g.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(g.grantee) END, \
           g.privilege_type, CASE WHEN g.is_grantable THEN '*' ELSE '' END, \
           pg_get_userbyid(g.grantor)), ',' ORDER BY g.grantee <> 0, \
           pg_get_userbyid(g.grantee)::text COLLATE \"C\", g.privilege_type COLLATE \"C\", \
           pg_get_userbyid(g.grantor)::text COLLATE \"C\", g.is_grantable), '') \
         FROM aclexplode({acl}) g)"
    )
}
