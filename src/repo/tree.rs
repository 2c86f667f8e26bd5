//! Trees as they are stored: the JSON of a directory, byte for byte as restic writes it.
//!
//! In: nodes. Out: JSON, whose hash is the tree's id; and the same way back, from any writer of
//! the format. Source: restic's doc/design.rst, "Trees and Data". Blocking, CPU only.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::go::{self, lossy, null_is_empty, quote, unquote};
use super::{BlobId, Node, NodeKind, Tree};

/// Why a blob is no tree. The tree is named by whoever fetched it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    #[error("it is not the JSON of a tree")]
    Malformed(#[source] serde_json::Error),
    #[error("it holds the name {:?} twice", String::from_utf8_lossy(name))]
    NameTwice { name: Vec<u8> },
}

impl Tree {
    /// The tree's JSON; its nodes shall be sorted by the bytes of their names.
    pub fn encode(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Nodes<'a> {
            nodes: &'a [Node],
        }
        let mut json = go::to_json(&Nodes { nodes: &self.nodes });
        json.push(b'\n');
        json
    }

    /// Reads a tree's JSON; what it does not know it skips.
    ///
    /// Refused as a whole: a name that is not one entry of a directory (empty, `.`, `..`, with `/`
    /// or NUL), a name that is there twice, a node of unknown type.
    pub fn decode(json: &[u8]) -> Result<Self, TreeError> {
        #[derive(Deserialize)]
        struct Nodes {
            #[serde(deserialize_with = "null_is_empty")]
            nodes: Vec<Node>,
        }
        let Nodes { nodes } = serde_json::from_slice(json).map_err(TreeError::Malformed)?;
        if !nodes.is_sorted_by(|a, b| a.name < b.name) {
            let mut seen = HashSet::with_capacity(nodes.len());
            if let Some(twice) = nodes.iter().find(|node| !seen.insert(&node.name)) {
                return Err(TreeError::NameTwice { name: twice.name.clone() });
            }
        }
        Ok(Self { nodes })
    }
}

/// Whether `name` is one entry of a directory and leads nowhere else.
fn is_entry(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | b'\0'))
}

/// A node's fields, in the order in which restic writes them.
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    mode: u64,
    #[serde(default)]
    mtime: Time,
    #[serde(default)]
    atime: Time,
    #[serde(default)]
    ctime: Time,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    #[serde(default, borrow, skip_serializing_if = "str::is_empty")]
    user: Cow<'a, str>,
    #[serde(default, borrow, skip_serializing_if = "str::is_empty")]
    group: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    inode: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    device_id: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    links: u64,
    #[serde(default, borrow, skip_serializing_if = "str::is_empty")]
    linktarget: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    linktarget_raw: Option<Base64>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    extended_attributes: Vec<Attribute>,
    #[serde(default, skip_serializing_if = "is_zero")]
    device: u64,
    content: Option<Cow<'a, [BlobId]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subtree: Option<BlobId>,
}

#[derive(Serialize, Deserialize)]
struct Attribute {
    name: String,
    value: Option<Base64>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The bits of Go's `os.FileMode` beyond the permissions, each with POSIX's.
const GO_SPECIAL: [(u64, u32); 3] = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut wire = Wire {
            name: quote(&self.name).into(),
            kind: Cow::Borrowed(""),
            mode: u64::from(self.mode & 0o777),
            mtime: Time(self.mtime),
            atime: Time(self.atime),
            ctime: Time(self.ctime),
            uid: self.uid,
            gid: self.gid,
            user: Cow::Borrowed(&self.user),
            group: Cow::Borrowed(&self.group),
            inode: self.inode,
            device_id: self.device_id,
            size: 0,
            links: self.links,
            linktarget: Cow::Borrowed(""),
            linktarget_raw: None,
            extended_attributes: self
                .xattrs
                .iter()
                .map(|(name, value)| Attribute {
                    name: lossy(name),
                    value: Some(Base64(value.clone())),
                })
                .collect(),
            device: 0,
            content: None,
            subtree: None,
        };
        for (go, posix) in GO_SPECIAL {
            if self.mode & posix != 0 {
                wire.mode |= go;
            }
        }
        let (kind, type_bits) = match &self.kind {
            NodeKind::File { size, content } => {
                wire.size = *size;
                wire.content = Some(Cow::Borrowed(content));
                ("file", 0)
            }
            NodeKind::Dir { subtree } => {
                wire.subtree = Some(*subtree);
                ("dir", 1 << 31)
            }
            NodeKind::Symlink { target } => {
                wire.linktarget = lossy(target).into();
                wire.linktarget_raw =
                    std::str::from_utf8(target).is_err().then(|| Base64(target.clone()));
                ("symlink", 1 << 27)
            }
            NodeKind::Device { number } => {
                wire.device = *number;
                ("dev", 1 << 26)
            }
            NodeKind::CharDevice { number } => {
                wire.device = *number;
                ("chardev", 1 << 26 | 1 << 21)
            }
            NodeKind::Fifo => ("fifo", 1 << 25),
            NodeKind::Socket => ("socket", 1 << 24),
        };
        wire.kind = Cow::Borrowed(kind);
        wire.mode |= type_bits;
        wire.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let shown = |text: &str| text.chars().take(80).collect::<String>();
        let name = unquote(&wire.name).filter(|name| is_entry(name)).ok_or_else(|| {
            D::Error::custom(format_args!("{:?} cannot name an entry", shown(&wire.name)))
        })?;
        let kind = match &*wire.kind {
            "file" => NodeKind::File {
                size: wire.size,
                content: wire.content.unwrap_or_default().into_owned(),
            },
            "dir" => NodeKind::Dir {
                subtree: wire.subtree.ok_or_else(|| D::Error::missing_field("subtree"))?,
            },
            "symlink" => NodeKind::Symlink {
                target: match wire.linktarget_raw {
                    Some(Base64(raw)) => raw,
                    None => wire.linktarget.into_owned().into_bytes(),
                },
            },
            "dev" => NodeKind::Device { number: wire.device },
            "chardev" => NodeKind::CharDevice { number: wire.device },
            "fifo" => NodeKind::Fifo,
            "socket" => NodeKind::Socket,
            other => {
                let what =
                    format_args!("{:?} has the unknown type {:?}", shown(&wire.name), shown(other));
                return Err(D::Error::custom(what));
            }
        };
        let special = GO_SPECIAL.iter().filter(|(go, _)| wire.mode & go != 0);
        let mode = special.fold((wire.mode & 0o777) as u32, |mode, (_, posix)| mode | posix);
        Ok(Self {
            name,
            kind,
            mode,
            mtime: wire.mtime.0,
            atime: wire.atime.0,
            ctime: wire.ctime.0,
            uid: wire.uid,
            gid: wire.gid,
            user: wire.user.into_owned(),
            group: wire.group.into_owned(),
            inode: wire.inode,
            device_id: wire.device_id,
            links: wire.links,
            xattrs: wire
                .extended_attributes
                .into_iter()
                .map(|Attribute { name, value }| {
                    (name.into_bytes(), value.map(|Base64(bytes)| bytes).unwrap_or_default())
                })
                .collect(),
        })
    }
}

/// A time as Go writes it; its zero time, the first moment of the year 1, stands for none.
#[derive(Default)]
struct Time(Option<Timestamp>);

/// -62135596800 s: 0001-01-01T00:00:00Z.
const GO_ZERO: Timestamp = Timestamp::constant(-62_135_596_800, 0);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Years before 1 are written by no file system, and have no form in RFC 3339.
        self.0.filter(|time| *time > GO_ZERO).unwrap_or(GO_ZERO).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        let time = go::time(&text).map_err(D::Error::custom)?;
        Ok(Self((time > GO_ZERO).then_some(time)))
    }
}

struct Base64(Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ground::causes::chain;
    use crate::ground::digest::Digest;

    fn kind() -> impl Strategy<Value = NodeKind> {
        let id = || any::<[u8; 32]>().prop_map(|bytes| BlobId(Digest(bytes)));
        prop_oneof![
            (any::<u64>(), prop::collection::vec(id(), 0..4))
                .prop_map(|(size, content)| NodeKind::File { size, content }),
            id().prop_map(|subtree| NodeKind::Dir { subtree }),
            prop::collection::vec(1_u8.., 1..30).prop_map(|target| NodeKind::Symlink { target }),
            any::<u64>().prop_map(|number| NodeKind::Device { number }),
            any::<u64>().prop_map(|number| NodeKind::CharDevice { number }),
            Just(NodeKind::Fifo),
            Just(NodeKind::Socket),
        ]
    }

    prop_compose! {
        fn node()(
            name in prop::collection::vec(any::<u8>(), 1..40)
                .prop_filter("an entry", |name| is_entry(name)),
            kind in kind(),
            (mode, uid, gid) in (0..0o10000_u32, any::<u32>(), any::<u32>()),
            seconds in prop::option::of(-1_000_000_000_000_i64..100_000_000_000),
            (user, group) in ("[^\0]{0,8}", "[^\0]{0,8}"),
            (inode, device_id, links) in any::<(u64, u64, u64)>(),
            xattrs in prop::collection::vec(("[^\0]{1,9}", prop::collection::vec(any::<u8>(), 0..9)), 0..3),
        ) -> Node {
            let time = seconds
                .and_then(|s| Timestamp::new(s, 123_000_000).ok())
                .filter(|time| *time > GO_ZERO);
            let xattrs = xattrs.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
            Node {
                name, kind, mode, mtime: time, atime: None, ctime: time, uid, gid, user, group,
                inode, device_id, links, xattrs,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_tree_of_any_nodes_is_read_back_as_written(mut nodes in prop::collection::vec(node(), 0..6)) {
            nodes.sort_by(|a, b| a.name.cmp(&b.name));
            nodes.dedup_by(|a, b| a.name == b.name);
            let tree = Tree { nodes };

            let json = tree.encode();

            prop_assert_eq!(Tree::decode(&json).unwrap(), tree);
        }

        #[test]
        fn bytes_that_are_no_tree_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Tree::decode(&bytes).is_err());
        }
    }

    fn tree_of(nodes: &str) -> Result<Tree, TreeError> {
        Tree::decode(format!(r#"{{"nodes":[{nodes}]}}"#).as_bytes())
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", ".", "..", "a/b", "/etc", "a\\\\x00", "\\\\x2e.", "\\\\x2f", "\\\\q"] {
            let result = tree_of(&format!(r#"{{"name":"{name}","type":"fifo","content":null}}"#));

            let told = chain(&result.expect_err(name));
            assert!(told.contains("cannot name an entry"), "{told}");
        }
    }

    #[test]
    fn a_name_that_is_there_twice_is_refused_in_any_order() {
        let node = |name| format!(r#"{{"name":"{name}","type":"fifo","content":null}}"#);

        for names in [["a", "a", "b"], ["a", "b", "a"]] {
            let error = tree_of(&names.map(node).join(",")).unwrap_err();
            assert!(matches!(error, TreeError::NameTwice { .. }), "{error:?}");
        }
        assert_eq!(tree_of(&["b", "a"].map(node).join(",")).unwrap().nodes.len(), 2);
    }

    #[test]
    fn nodes_of_other_systems_are_read_and_unknown_types_refused() {
        let windows = r#"{"name":"x","type":"file","mtime":"9999-12-31T23:59:59+08:00",
            "uid":0,"gid":0,"generic_attributes":{"windows.file_attributes":[32]},"content":null,
            "extended_attributes":null}"#;
        assert_eq!(tree_of(windows).unwrap().nodes[0].mtime, Some(Timestamp::MAX));

        let told =
            chain(&tree_of(r#"{"name":"x","type":"irregular","content":null}"#).unwrap_err());
        assert!(told.contains("irregular"), "{told}");
        assert!(tree_of(r#"{"name":"x","type":"dir","content":null}"#).is_err());
        assert!(Tree::decode(br#"{"nodes":null}"#).unwrap().nodes.is_empty());
    }

    #[test]
    fn an_empty_tree_is_the_one_that_restic_writes() {
        let id = Digest::of(&Tree::default().encode());

        assert_eq!(
            id.to_string(),
            "ac08ce34ba4f8123618661bef2425f7028ffb9ac740578a3ee88684d2523fee8"
        );
    }

    #[test]
    fn trees_of_restic_0_14_are_written_again_byte_for_byte() {
        let json = include_str!("../../tests/frozen/restic-0.14.0-tree.json");

        let again = Tree::decode(json.as_bytes()).unwrap().encode();

        // One link's target was not UTF-8; 0.14.0 kept no raw bytes, so the true one is lost.
        assert_eq!(String::from_utf8(again).unwrap(), json.replace("\\ufffd", "\u{fffd}"));
    }
}
