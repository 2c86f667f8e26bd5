//! What all databases of a server share: roles, memberships, grants on settings.

use super::super::acl;
use super::{sorted, whole};

pub(super) fn queries() -> Vec<String> {
    vec![roles(), memberships(), parameters()]
}

/// Without passwords: only a superuser sees them, and a scratch copy needs none.
fn roles() -> String {
    let settings = sorted(
        "(SELECT s.setconfig FROM pg_db_role_setting s \
          WHERE s.setrole = r.oid AND s.setdatabase = 0)",
    );
    format!(
        "SELECT format('role %I', r.rolname), r.rolsuper, r.rolinherit, r.rolcreaterole,
           r.rolcreatedb, r.rolcanlogin, r.rolreplication, r.rolbypassrls, r.rolconnlimit,
           r.rolvaliduntil, {settings}, shobj_description(r.oid, 'pg_authid')
         FROM pg_roles r WHERE r.rolname !~ '^pg_'"
    )
}

/// Whoever granted them plays no part: a role that is gone may have.
fn memberships() -> String {
    let options = whole("m", &["oid", "roleid", "member", "grantor"]);
    format!(
        "SELECT format('membership of %I in %I', pg_get_userbyid(m.member),
             pg_get_userbyid(m.roleid)), {options}
         FROM pg_auth_members m WHERE pg_get_userbyid(m.member) !~ '^pg_' ORDER BY 1, 2"
    )
}

fn parameters() -> String {
    let grants = acl::exploded("p.paracl");
    format!("SELECT format('grant on parameter %s', p.parname), {grants} FROM pg_parameter_acl p")
}
