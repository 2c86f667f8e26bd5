//! What all databases of a server share: roles, memberships, grants on settings.

use super::super::acl;
use super::super::session::SPOKEN;
use super::{sorted, whole};

pub(super) fn queries() -> Vec<String> {
    vec![roles(), security_labels(), memberships(), parameters()]
}

/// The hashes of passwords, for who may read them: other logins' dumps hold none.
pub(super) fn passwords() -> String {
    "SELECT format('role %I', r.rolname), r.rolpassword
     FROM pg_authid r WHERE r.rolname !~ '^pg_' AND r.rolpassword IS NOT NULL"
        .to_owned()
}

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

fn security_labels() -> String {
    "SELECT format('role %I', r.rolname), s.provider, s.label
     FROM pg_shseclabel s JOIN pg_roles r ON r.oid = s.objoid
     WHERE s.classoid = 'pg_authid'::regclass AND r.rolname !~ '^pg_' ORDER BY 1, 2"
        .to_owned()
}

/// Of a grantor who is gone, which servers before 16 allow, a dump says nothing: then it is the
/// superuser that initdb made (10).
fn memberships() -> String {
    let common = ["oid", "roleid", "member", "grantor"];
    let (options, older) = (
        whole("m", &common),
        whole("m", &[&common[..], &["inherit_option", "set_option"]].concat()),
    );
    let options = format!("CASE WHEN {SPOKEN} >= 16 THEN {options} ELSE {older} END");
    format!(
        "SELECT format('membership of %I in %I', pg_get_userbyid(m.member),
             pg_get_userbyid(m.roleid)), {options},
           coalesce((SELECT r.rolname FROM pg_roles r WHERE r.oid = m.grantor), pg_get_userbyid(10))
         FROM pg_auth_members m
         WHERE pg_get_userbyid(m.member) !~ '^pg_' OR pg_get_userbyid(m.roleid) !~ '^pg_'
         ORDER BY 1, 2, 3"
    )
}

fn parameters() -> String {
    let grants = acl::exploded("p.paracl");
    format!("SELECT format('grant on parameter %s', p.parname), {grants} FROM pg_parameter_acl p")
}
