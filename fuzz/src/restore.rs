//! Trees on their way to a disk: nothing is ever made outside of the target.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock, RwLock};

use lifeboat::ground::clock::SystemClock;
use lifeboat::ground::digest::Digest;
use lifeboat::ground::progress::Silent;
use lifeboat::repo::{
    BlobId, BlobKind, Index, NodeKind, PackBuilder, Reader, Repository, Tree, layout,
};
use lifeboat::restore::{self as restoring, Fidelity, Occupied, Request, Select};
use lifeboat::seal::Cost;
use lifeboat::store::{Memory, Put};

use super::{parts, runtime};

/// The contents that files may have.
const CONTENTS: [&[u8]; 3] = [b"one", b"two", b"three"];

/// Trees, outermost first; folders hold one of those that come after theirs.
pub fn restore(input: &[u8]) {
    let trees: Vec<Tree> = parts(input).filter_map(|json| Tree::decode(json).ok()).collect();
    if trees.is_empty() {
        return;
    }
    let (reader, root, pack) = stored(trees);
    let home = tempfile::tempdir().unwrap();
    let (target, canary) = (home.path().join("to"), home.path().join("canary"));
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("song"), "tweet").unwrap();
    for (occupied, fidelity) in
        [(Occupied::Refuse, Fidelity::Full), (Occupied::Overwrite, Fidelity::Drill)]
    {
        let request = Request {
            to: target.clone(),
            select: Select::Everything,
            occupied,
            fidelity,
            most_bytes: Some(1 << 20),
            interrupted: Arc::default(),
        };
        let run = restoring::run(&reader, root, &request, Arc::new(Silent));
        if runtime().block_on(run).is_ok() {
            let recheck = restoring::recheck(&reader, root, &request, Arc::new(Silent));
            let _ = runtime().block_on(recheck);
        }
        sings(home.path(), &canary);
    }
    let store = repository().store();
    runtime().block_on(store.delete(&pack)).unwrap();
}

/// Nothing was made beside the target, and nothing changed there.
fn sings(home: &Path, canary: &Path) {
    assert!(fs::read_dir(home).unwrap().count() <= 2, "something stands beside the target");
    assert_eq!(fs::read_dir(canary).unwrap().count(), 1);
    assert_eq!(fs::read(canary.join("song")).unwrap(), b"tweet");
}

fn repository() -> &'static Arc<Repository> {
    static REPOSITORY: OnceLock<Arc<Repository>> = OnceLock::new();
    REPOSITORY.get_or_init(|| {
        let (store, password) = (Arc::new(Memory::new()), "right".to_owned().into());
        let cost = Cost { log_n: 1, ..Cost::DEFAULT };
        let made = Repository::create(store, &password, cost, &SystemClock);
        Arc::new(runtime().block_on(made).unwrap())
    })
}

/// The trees in a pack of their own; answers the first one's id, and the pack's name.
fn stored(trees: Vec<Tree>) -> (Reader, BlobId, lifeboat::store::ObjectName) {
    let key = repository().key();
    let mut builder = PackBuilder::new(key.clone());
    let mut add = |kind, plain: &[u8]| {
        let id = BlobId(Digest::of(plain));
        builder.add(id, kind, &key.seal(plain), plain.len() as u32, false);
        id
    };
    let contents = CONTENTS.map(|content| add(BlobKind::Data, content));
    let mut inner = vec![add(BlobKind::Tree, &Tree::default().encode())];
    for mut tree in trees.into_iter().rev() {
        for node in &mut tree.nodes {
            let chosen = |id: &BlobId, of: usize| usize::from(id.0.0[31]) % of;
            match &mut node.kind {
                NodeKind::Dir { subtree } => *subtree = inner[chosen(subtree, inner.len())],
                NodeKind::File { content, .. } => {
                    // The fourth is nowhere.
                    for id in content {
                        *id = contents.get(chosen(id, 4)).copied().unwrap_or(*id);
                    }
                }
                _ => {}
            }
        }
        inner.push(add(BlobKind::Tree, &tree.encode()));
    }
    let root = inner[inner.len() - 1];
    let packed = builder.finish();
    let mut index = Index::new();
    index.insert(packed.id, &packed.blobs);
    let name = layout::pack(&packed.id);
    let put = repository().store().put(&name, packed.bytes, Put::Overwrite);
    runtime().block_on(put).unwrap();
    let index = Arc::new(RwLock::new(index));
    (Reader::new(repository().clone(), index), root, name)
}
