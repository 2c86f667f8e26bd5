//! The parser of archives, compiled here as it is: it is its room's own, and nobody else may use it.

#[path = "../../src/source/postgres/archive/mod.rs"]
mod archive;

/// As the room has it, without what asks servers.
mod sequences {
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SequenceValue {
        pub last: i64,
        pub is_called: bool,
    }
}

/// What an archive holds, or how it is damaged, told.
pub fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<String, String> {
    let mut archive = archive::Archive::default();
    let fed = pieces.into_iter().try_for_each(|piece| archive.feed(piece));
    let read = fed.and_then(|()| archive.finish());
    read.map(|contents| format!("{contents:?}")).map_err(|damaged| damaged.to_string())
}
