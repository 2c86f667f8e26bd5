//! What extensions made, as SQL: a dump makes the extension anew and leaves out what it brings.

/// The first object id that the server gives to what users make (`FirstNormalObjectId`).
pub(super) const USERS_OID: u32 = 16_384;

/// SQL that is true where an extension made the object `oid` of the catalogue `catalog`, two
/// expressions.
pub(super) fn made_by_one(catalog: &str, oid: &str) -> String {
    format!(
        "EXISTS (SELECT FROM pg_depend dep WHERE dep.classid = {catalog} \
         AND dep.objid = {oid} AND dep.deptype = 'e')"
    )
}

/// SQL that is true where no extension made the object `oid` of the catalogue named `catalog`.
pub(super) fn own(catalog: &str, oid: &str) -> String {
    format!("NOT {}", made_by_one(&format!("'{catalog}'::regclass"), oid))
}

/// Joins to `pg_class c` the extension `x` that made it, if one did.
pub(super) const MAKER: &str = "LEFT JOIN pg_depend e ON e.classid = 'pg_class'::regclass \
                                AND e.objid = c.oid AND e.objsubid = 0 AND e.deptype = 'e' \
                                LEFT JOIN pg_extension x ON x.oid = e.refobjid";

/// With [`MAKER`]: whether a dump carries what is in the relation, since it is the users' own or
/// the extension marked it as configuration (`pg_extension_config_dump`).
pub(super) const CARRIED: &str = "(e.objid IS NULL OR c.oid = ANY (x.extconfig))";
