//! The index as packs' headers have it, and what of the index files says otherwise.
//!
//! A pack that can tell what it holds is believed, whatever an index file says of it; one that cannot
//! keeps what index files say, for that is all that leads to its blobs.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::exchange::Exchange;
use super::headers::{self, Said};
use super::{Error, aside};
use crate::ground::causes::chain;
use crate::ground::progress::Progress;
use crate::repo::file::{self, FileError};
use crate::repo::pack::PackedBlob;
use crate::repo::{
    DoomedPack, Error as RepositoryError, Index, IndexFile, IndexId, IndexPack, PackId, Repository,
    layout,
};

/// A pack that cannot tell what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub pack: PackId,
    /// Why not.
    pub what: String,
    /// Whether an index file tells it, so that its blobs can be read all the same.
    pub is_indexed: bool,
}

/// What becomes of the index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexPlan {
    /// Index files that cannot be read, and why: they are set aside.
    pub damaged: Vec<(IndexId, String)>,
    /// Index files whose content goes into new ones.
    pub rewritten: Vec<IndexId>,
    /// Packs that are named anew, by their headers.
    pub named: Vec<PackId>,
    /// Packs that were named and are not there.
    pub gone: Vec<PackId>,
    /// Packs that cannot be read by their headers; left as they are.
    pub headless: Vec<Header>,
}

impl IndexPlan {
    /// Whether the index says what packs say.
    pub fn is_empty(&self) -> bool {
        let Self { damaged, rewritten, named, gone, .. } = self;
        damaged.is_empty() && rewritten.is_empty() && named.is_empty() && gone.is_empty()
    }
}

/// Everything that index files and packs say.
pub(super) struct Survey {
    /// Index files that can be read.
    files: HashMap<IndexId, IndexFile>,
    /// Those of them that lie under another's name.
    misnamed: HashSet<IndexId>,
    superseded: HashSet<IndexId>,
    damaged: Vec<(IndexId, String)>,
    /// Of the files that count.
    index: Index,
    /// Packs that are there, with what their headers say.
    headers: HashMap<PackId, Said>,
}

impl Survey {
    pub async fn of(repository: &Repository, progress: &dyn Progress) -> Result<Self, Error> {
        progress.phase("read index", None);
        let (mut files, mut misnamed, mut damaged) = (HashMap::new(), HashSet::new(), Vec::new());
        for (id, outcome) in repository.index_files().await.map_err(Error::Read)? {
            progress.advance(1, 0);
            match outcome {
                Ok(file) => drop(files.insert(id, file)),
                Err(error) if error.is_environment() || is_too_large(&error) => {
                    return Err(Error::Read(error));
                }
                Err(error) => match under_another_name(repository, id, &error).await? {
                    Some(file) => {
                        misnamed.insert(id);
                        files.insert(id, file);
                    }
                    None => damaged.push((id, chain(&error))),
                },
            }
        }
        let named = files.values().flat_map(|file| file.supersedes.iter().copied());
        let superseded: HashSet<_> = named.filter(|id| files.contains_key(id)).collect();
        let mut index = Index::new();
        let counts = files.iter().filter(|(id, _)| !superseded.contains(id));
        counts.for_each(|(_, file)| index.insert_file(file));
        progress.phase("list packs", None);
        let stored = repository.pack_sizes(&index).await.map_err(Error::List)?;
        let mut headers = headers::read_all(repository, &index, &stored, progress).await?;
        // What could be read of them is in others, and a backup must not rely on them again.
        let marks = repository.packs_aside().await.map_err(Error::List)?;
        for pack in stored.keys().filter(|pack| !index.has_pack(pack)) {
            if aside::is_marked(repository, &marks, pack).await? {
                headers.remove(pack);
            }
        }
        Ok(Self { files, misnamed, superseded, damaged, index, headers })
    }

    /// What a pack that is there is to be named as, if that is known.
    fn truth<'a>(&'a self, pack: &PackId, indexed: &'a [PackedBlob]) -> Option<&'a [PackedBlob]> {
        match self.headers.get(pack)? {
            Said::Otherwise(blobs) => Some(blobs),
            Said::AsIndexed | Said::Nothing(_) => Some(indexed),
        }
    }

    /// Packs of the index that are gone, or hold otherwise than it says.
    fn wrong(&self) -> (Vec<PackId>, Vec<PackId>) {
        let (mut gone, mut otherwise) = (Vec::new(), Vec::new());
        for (pack, blobs) in self.index.packs() {
            match self.truth(&pack, &blobs) {
                None => gone.push(pack),
                Some(truth) if truth != blobs => otherwise.push(pack),
                Some(_) => {}
            }
        }
        (gone, otherwise)
    }

    /// Packs that no index file names and that say what they hold.
    fn unnamed(&self) -> impl Iterator<Item = (PackId, &[PackedBlob])> {
        let is_known = |pack: &PackId| self.index.has_pack(pack) || self.index.is_doomed(pack);
        let unknown = self.headers.iter().filter(move |(pack, _)| !is_known(pack));
        unknown.filter_map(|(pack, said)| match said {
            Said::Otherwise(blobs) => Some((*pack, blobs.as_slice())),
            Said::AsIndexed | Said::Nothing(_) => None,
        })
    }

    /// Index files that are to be replaced: others supersede them, they lie under another's name, or
    /// they name packs of which something else is true.
    fn outdated(&self, wrong: &HashSet<PackId>) -> HashSet<IndexId> {
        let is_outdated = |id: &IndexId, file: &IndexFile| {
            self.superseded.contains(id)
                || self.misnamed.contains(id)
                || file.packs.iter().any(|pack| wrong.contains(&pack.id))
        };
        let outdated = self.files.iter().filter(|(id, file)| is_outdated(id, file));
        outdated.map(|(id, _)| *id).collect()
    }

    /// Index files that go. Superseded files alone do no harm and are left alone.
    fn old(&self, wrong: &HashSet<PackId>) -> HashSet<IndexId> {
        let is_sound = wrong.is_empty() && self.misnamed.is_empty() && self.damaged.is_empty();
        match is_sound && self.unnamed().next().is_none() {
            true => HashSet::new(),
            false => self.outdated(wrong),
        }
    }

    pub fn plan(&self) -> IndexPlan {
        let (mut gone, mut named) = self.wrong();
        let wrong = gone.iter().chain(&named).copied().collect();
        let mut rewritten: Vec<_> = self.old(&wrong).into_iter().collect();
        named.extend(self.unnamed().map(|(pack, _)| pack));
        let header = |(pack, said): (&PackId, &Said)| {
            let Said::Nothing(what) = said else { return None };
            let is_indexed = self.index.has_pack(pack) || self.index.is_doomed(pack);
            Some(Header { pack: *pack, what: what.clone(), is_indexed })
        };
        let mut headless: Vec<_> = self.headers.iter().filter_map(header).collect();
        headless.sort_by_key(|one| one.pack);
        gone.sort();
        named.sort();
        rewritten.sort();
        IndexPlan { damaged: self.damaged.clone(), rewritten, named, gone, headless }
    }

    /// What replaces what.
    pub fn exchange(self) -> Exchange {
        let (gone, otherwise) = self.wrong();
        let wrong: HashSet<_> = gone.iter().chain(&otherwise).copied().collect();
        let old = self.old(&wrong);
        let of_old: HashSet<PackId> =
            old.iter().flat_map(|id| &self.files[id].packs).map(|pack| pack.id).collect();
        let mut packs: BTreeMap<PackId, Vec<PackedBlob>> = BTreeMap::new();
        for (pack, blobs) in self.index.packs().filter(|(pack, _)| of_old.contains(pack)) {
            if let Some(truth) = self.truth(&pack, &blobs) {
                packs.insert(pack, truth.to_vec());
            }
        }
        packs.extend(self.unnamed().map(|(pack, blobs)| (pack, blobs.to_vec())));
        let must_name = self
            .index
            .packs()
            .filter_map(|(pack, blobs)| self.truth(&pack, &blobs).map(|truth| (pack, truth.len())));
        let must_name = must_name.collect();
        let counting = old.iter().filter(|id| !self.superseded.contains(*id));
        let doomed: Vec<DoomedPack> =
            counting.flat_map(|id| self.files[id].packs_to_delete.iter().cloned()).collect();
        let damaged = self.damaged.iter().map(|(id, _)| *id).collect();
        let pack = |(id, blobs)| IndexPack { id, blobs };
        Exchange {
            superseded: self.superseded,
            old,
            damaged,
            packs: packs.into_iter().map(pack).collect(),
            doomed,
            files: self.files,
            must_name,
            unnamed: gone,
        }
    }
}

/// Whether it is too large to be an index file, or to be set aside: a person must look at it.
fn is_too_large(error: &RepositoryError) -> bool {
    matches!(error, RepositoryError::Damaged { source: FileError::TooLarge { .. }, .. })
}

/// An index file that somebody moved or replaced by another of ours: what it says of packs is true
/// wherever it lies, for packs are known by their content.
async fn under_another_name(
    repository: &Repository,
    id: IndexId,
    error: &RepositoryError,
) -> Result<Option<IndexFile>, Error> {
    if !matches!(error, RepositoryError::Damaged { source: FileError::Digest { .. }, .. }) {
        return Ok(None);
    }
    let sealed = match repository.store().get(&layout::index(&id), None).await {
        Ok(sealed) => sealed,
        Err(source) => return Err(Error::Read(RepositoryError::Store(source))),
    };
    let json = file::decode_unnamed(repository.key(), &sealed).ok();
    Ok(json.and_then(|json| IndexFile::decode(&json).ok()))
}
