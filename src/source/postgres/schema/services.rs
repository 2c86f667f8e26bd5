//! Extensions, foreign servers, publications.

use super::super::acl;
use super::{own, owner, sorted, whole};

pub(super) fn queries() -> Vec<String> {
    vec![
        extensions(),
        dependents(),
        foreign_data_wrappers(),
        foreign_servers(),
        user_mappings(),
        publications(),
        published_tables(),
        published_schemas(),
    ]
}

/// Without their owner: a dump does not carry it.
fn extensions() -> String {
    "SELECT format('extension %I', x.extname), x.extversion, n.nspname
     FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace"
        .to_owned()
}

/// What goes with an extension though it does not belong to it (`ALTER … DEPENDS ON EXTENSION`).
fn dependents() -> String {
    "SELECT format('dependence of %s %s on extension %I', i.type, i.identity, x.extname)
     FROM pg_depend d
     JOIN pg_extension x ON x.oid = d.refobjid
     CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) i
     WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'x'"
        .to_owned()
}

fn foreign_data_wrappers() -> String {
    let (owner, grants) = (owner("f.fdwowner"), acl::text("F", "f.fdwacl", "f.fdwowner"));
    let (own, options) = (own("pg_foreign_data_wrapper", "f.oid"), sorted("f.fdwoptions"));
    format!(
        "SELECT format('foreign data wrapper %I', f.fdwname), f.fdwhandler::regproc,
           f.fdwvalidator::regproc, {options}, {owner}, {grants}
         FROM pg_foreign_data_wrapper f WHERE {own}"
    )
}

fn foreign_servers() -> String {
    let (owner, grants) = (owner("s.srvowner"), acl::text("S", "s.srvacl", "s.srvowner"));
    let (own, options) = (own("pg_foreign_server", "s.oid"), sorted("s.srvoptions"));
    format!(
        "SELECT format('server %I', s.srvname), f.fdwname, s.srvtype, s.srvversion, {options},
           {owner}, {grants}
         FROM pg_foreign_server s JOIN pg_foreign_data_wrapper f ON f.oid = s.srvfdw WHERE {own}"
    )
}

/// Options that the login does not see are missing from the dump and from its restored copy, too.
fn user_mappings() -> String {
    let options = sorted("u.umoptions");
    format!(
        "SELECT format('user mapping for %I server %I', u.usename, u.srvname), {options}
         FROM pg_user_mappings u"
    )
}

fn publications() -> String {
    let (owner, own) = (owner("p.pubowner"), own("pg_publication", "p.oid"));
    let parts = whole("p", &["oid", "pubowner"]);
    format!(
        "SELECT format('publication %I', p.pubname), {parts}, {owner}
         FROM pg_publication p WHERE {own}"
    )
}

fn published_tables() -> String {
    let own = own("pg_class", "r.prrelid");
    format!(
        "SELECT format('publication %I', p.pubname), r.prrelid::regclass,
           pg_get_expr(r.prqual, r.prrelid),
           (SELECT string_agg(a.attname, ',' ORDER BY a.attname COLLATE \"C\") FROM pg_attribute a
            WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs))
         FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE {own}
         ORDER BY 1, r.prrelid::regclass::text COLLATE \"C\""
    )
}

fn published_schemas() -> String {
    "SELECT format('publication %I', p.pubname), n.nspname
     FROM pg_publication_namespace s
     JOIN pg_publication p ON p.oid = s.pnpubid
     JOIN pg_namespace n ON n.oid = s.pnnspid
     ORDER BY 1, n.nspname COLLATE \"C\""
        .to_owned()
}
