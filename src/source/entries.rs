//! Where the dumps of a server's databases stand.

/// Where the dump of `database` stands below the source's folder (design §6).
pub(super) fn file_of(database: &str, extension: &str) -> String {
    let mut name = String::new();
    for c in database.chars() {
        match c {
            '%' | '/' => name.push_str(&format!("%{:02X}", u32::from(c))),
            c if c.is_control() && c.is_ascii() => {
                name.push_str(&format!("%{:02X}", u32::from(c)));
            }
            c => name.push(c),
        }
    }
    format!("databases/{name}.{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_databases_make_one_file_each_and_stay_in_their_folder() {
        assert_eq!(file_of("shop", "dump"), "databases/shop.dump");
        assert_eq!(file_of("../a%b\n", "dump"), "databases/..%2Fa%25b%0A.dump");
        assert_eq!(file_of("-ünï ''", "dump"), "databases/-ünï ''.dump");
    }
}
