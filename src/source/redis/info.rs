//! What a server says of itself: the answer to INFO.

use std::collections::BTreeMap;

use super::session::{Error, Reply, Session};

/// `redis_version` and the like, by name.
pub(super) struct Info(BTreeMap<String, String>);

impl Info {
    pub fn ask(session: &mut Session) -> Result<Self, Error> {
        match session.must(&[b"INFO"])? {
            Reply::Text(text) => Ok(Self::read(&String::from_utf8_lossy(&text))),
            _ => Err(Error::Protocol { what: "INFO without a text" }),
        }
    }

    pub fn read(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.trim_end().split_once(':'));
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in pairs {
            // Modules come one a line under one name.
            let held = all.entry(name.to_owned()).or_default();
            if !held.is_empty() {
                held.push('\n');
            }
            held.push_str(value);
        }
        Self(all)
    }

    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name).parse().ok()
    }

    pub fn says(&self, name: &str, value: &str) -> bool {
        self.text(name) == value
    }

    /// Databases that hold keys, with their numbers.
    pub fn keys(&self) -> u64 {
        let databases = self.0.iter().filter(|(name, _)| is_database(name));
        let keys = databases.filter_map(|(_, value)| {
            value.strip_prefix("keys=")?.split(',').next()?.parse::<u64>().ok()
        });
        keys.sum()
    }

    /// Names of the modules that are loaded.
    pub fn modules(&self) -> Vec<String> {
        let lines = self.text("module").lines();
        let names = lines.filter_map(|line| line.strip_prefix("name=")?.split(',').next());
        names.map(str::to_owned).collect()
    }
}

fn is_database(name: &str) -> bool {
    name.strip_prefix("db").is_some_and(|number| number.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keys_and_modules_are_found_by_name() {
        let info = Info::read(
            "# Server\r\nredis_version:7.0.15\r\nused_memory:1048576\r\n# Modules\r\n\
             module:name=ReJSON,ver=1\r\nmodule:name=search,ver=2\r\n# Keyspace\r\n\
             db0:keys=5,expires=1,avg_ttl=0\r\ndb11:keys=2,expires=0,avg_ttl=0\r\n",
        );

        assert_eq!(info.text("redis_version"), "7.0.15");
        assert_eq!(info.number("used_memory"), Some(1 << 20));
        assert_eq!((info.keys(), info.modules().join(" ")), (7, "ReJSON search".to_owned()));
        assert!(!info.says("loading", "1"));
    }
}
