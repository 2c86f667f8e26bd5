//! `lifeboat.json`: what a snapshot says of itself.

use serde::Deserialize;

use crate::repo::{BlobId, BlobKind, NodeKind, ReadError, Reader};
use crate::source::manifest::{FILE, FORMAT, MOST_BYTES, Manifest};

/// Why it cannot be read. What it says goes with the file's name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("is longer than {MOST_BYTES} bytes")]
    TooLong,
    #[error("is of format {format}, which needs a newer lifeboat")]
    Newer { format: u32 },
    #[error(transparent)]
    Malformed(#[from] serde_json::Error),
}

impl ManifestError {
    /// Whether nothing was learnt of it, because the store failed or this program is too old.
    pub fn is_environment(&self) -> bool {
        match self {
            Self::Read(error) => error.is_environment(),
            Self::Newer { .. } => true,
            Self::TooLong | Self::Malformed(_) => false,
        }
    }
}

/// Reads it; async. None where the snapshot has none: lifeboat did not make it.
pub async fn manifest(reader: &Reader, tree: BlobId) -> Result<Option<Manifest>, ManifestError> {
    let root = reader.tree(&tree).await?;
    let page = root.nodes.iter().find(|node| node.name == FILE.as_bytes());
    let Some(NodeKind::File { content, .. }) = page.map(|node| &node.kind) else {
        return Ok(None);
    };
    let mut text = Vec::new();
    for id in content {
        let next = reader.plain_bytes(BlobKind::Data, id).unwrap_or(0);
        if text.len() as u64 + next > MOST_BYTES {
            return Err(ManifestError::TooLong);
        }
        text.extend(reader.blob(BlobKind::Data, id).await?);
    }
    // What a later format holds besides may not be readable as this one.
    let Version { format } = serde_json::from_slice(&text)?;
    match format {
        ..=FORMAT => Ok(Some(serde_json::from_slice(&text)?)),
        format => Err(ManifestError::Newer { format }),
    }
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::tests::bench::Bench;
    use super::*;
    use crate::store::Memory;

    fn read(page: &str) -> Result<Option<Manifest>, ManifestError> {
        let bench = Bench::new(Arc::new(Memory::new()));
        let tree = bench.with_file(FILE, page);
        bench.runtime.block_on(manifest(&bench.reader(), tree))
    }

    #[test]
    fn one_of_a_later_format_is_told_from_a_damaged_one_whatever_it_holds() {
        let own = json!({
            "format": FORMAT, "lifeboat": "0", "customer": "acme", "policy": "shop", "sources": [],
            "run": "01a21797-9ddb-7025-8d75-42f5c3e097bf", "effective": null,
            "effective_digest": "0".repeat(64),
        });
        assert_eq!(read(&own.to_string()).unwrap().unwrap().policy.as_str(), "shop");

        let mut alike = own;
        alike["format"] = (FORMAT + 1).into();
        for later in [alike, json!({ "format": FORMAT + 1, "policies": ["shop"] })] {
            let error = read(&later.to_string()).unwrap_err();
            assert!(error.is_environment(), "{error}");
            assert!(error.to_string().contains("needs a newer lifeboat"), "{error}");
        }
        for damaged in ["", "{", "[]", "{\"format\": 1}"] {
            let error = read(damaged).unwrap_err();
            assert!(!error.is_environment(), "{damaged:?}: {error}");
        }
    }

    #[test]
    fn a_snapshot_of_another_program_has_none() {
        let bench = Bench::new(Arc::new(Memory::new()));
        let tree = bench.with_file("readme", "");

        assert_eq!(bench.runtime.block_on(manifest(&bench.reader(), tree)).unwrap(), None);
    }
}
