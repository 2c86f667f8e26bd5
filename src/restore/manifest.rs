//! `lifeboat.json`: what a snapshot says of itself.

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
    let manifest: Manifest = serde_json::from_slice(&text)?;
    match manifest.format {
        ..=FORMAT => Ok(Some(manifest)),
        format => Err(ManifestError::Newer { format }),
    }
}
