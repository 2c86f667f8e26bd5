//! The Merkle tree of RFC 6962, section 2.1, over the lines of a ledger.
//!
//! In: lines without their LF. Out: the root after each. Pure.

use crate::ground::digest::{Digest, Hasher};

/// A tree that keeps only what later roots need: one digest for each set bit of its size.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// Roots of complete subtrees with their heights, largest first.
    peaks: Vec<(u32, Digest)>,
}

impl Tree {
    /// A tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `line` as the next leaf.
    pub fn push(&mut self, line: &[u8]) {
        let mut node = (0, hash(&[&[0], line]));
        while let Some(left) = self.peaks.pop_if(|peak| peak.0 == node.0) {
            node = (node.0 + 1, parent(&left.1, &node.1));
        }
        self.peaks.push(node);
    }

    /// The Merkle tree hash; of no leaves, the SHA-256 of nothing.
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev().map(|peak| peak.1);
        let smallest = peaks.next().unwrap_or_else(|| Digest::of(b""));
        peaks.fold(smallest, |right, left| parent(&left, &right))
    }
}

fn parent(left: &Digest, right: &Digest) -> Digest {
    hash(&[&[1], &left.0, &right.0])
}

fn hash(parts: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn roots_agree_with_the_vectors_of_certificate_transparency() {
        // From Google's certificate-transparency, merkle_tree_test: the tests of RFC 6962.
        let leaves = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::new();
        assert_eq!(tree.root(), Digest::of(b""));
        for (leaf, root) in leaves.iter().zip(roots) {
            tree.push(&hex::decode(leaf).unwrap());

            assert_eq!(tree.root().to_string(), root);
        }
    }

    proptest! {
        #[test]
        fn any_lines_give_the_root_that_ct_merkle_gives(
            lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..70)
        ) {
            let mut ours = Tree::new();
            let mut theirs = MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
            for line in lines {
                ours.push(&line);
                theirs.push(line);

                let root = theirs.root();
                prop_assert_eq!(&ours.root().0[..], &root.as_bytes()[..]);
            }
        }
    }
}
