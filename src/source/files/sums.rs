//! Restored files added up, as the usual tools of a shell do it.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::FileType;

use super::disk;
use super::walk::{Found, Next, Visit, walk};
use crate::ground::digest::{Digest, Hasher};

/// What lies at and below one path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    /// All of them but devices, the path itself among them.
    pub entries: u64,
    pub files: u64,
    /// Of all files.
    pub bytes: u64,
    /// Of each file the digest of its content.
    digests: Vec<Digest>,
}

impl Sums {
    /// Reads what lies at and below `path` in the folder `data`; blocking. Nothing is there: no entries.
    pub fn of(data: &Path, path: &str) -> io::Result<Self> {
        let below = path.trim_matches('/').as_bytes();
        let root = disk::open_path(data)?;
        let mut sums = Self::default();
        if !below.is_empty() {
            let (folder, name) = disk::split(below);
            let name = disk::c_name(name)?;
            let found = disk::open_below(&root, folder)
                .and_then(|dir| disk::stat(&dir, &name).map(|stat| (Arc::new(dir), stat)));
            match found {
                Ok((dir, stat)) => {
                    sums.entry(&Found { dir: &dir, name: &name, path: below, stat })?;
                }
                Err(error) if disk::is_absent(&error) => return Ok(sums),
                Err(error) => return Err(error),
            }
        }
        match disk::open_below(&root, below) {
            Ok(dir) => walk(dir, below.to_vec(), &mut sums)?,
            Err(error) if disk::is_absent(&error) => {}
            Err(error) => return Err(error),
        }
        sums.digests.sort_unstable_by_key(|digest| digest.0);
        Ok(sums)
    }
}

impl fmt::Display for Sums {
    /// The digest is the one of all files' digests, sorted, each on a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut whole = Hasher::new();
        for digest in &self.digests {
            whole.update(format!("{digest}\n").as_bytes());
        }
        let Self { entries, files, bytes, .. } = self;
        write!(f, "{entries}, {files}, {bytes}, {}", whole.finish())
    }
}

impl Visit for Sums {
    type Error = io::Error;

    fn entry(&mut self, found: &Found<'_>) -> io::Result<Next> {
        let kind = disk::file_type(&found.stat);
        if !matches!(kind, FileType::BlockDevice | FileType::CharacterDevice) {
            self.entries += 1;
        }
        if kind == FileType::RegularFile {
            let mut hasher = Hasher::new();
            let mut counted = Counted { hasher: &mut hasher, bytes: 0 };
            io::copy(&mut File::from(disk::open_file(found.dir, found.name)?), &mut counted)?;
            self.bytes += counted.bytes;
            self.files += 1;
            self.digests.push(hasher.finish());
        }
        Ok(if kind == FileType::Directory { Next::Into } else { Next::Over })
    }

    fn trouble(&mut self, _: &[u8], error: io::Error) -> io::Result<()> {
        Err(error)
    }
}

struct Counted<'a> {
    hasher: &'a mut Hasher,
    bytes: u64,
}

impl io::Write for Counted<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.hasher.update(piece);
        self.bytes += piece.len() as u64;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    #[test]
    fn sums_are_what_find_and_sha256sum_say() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("srv/shop/img");
        fs::create_dir_all(folder.join("empty")).unwrap();
        for number in 0..20 {
            fs::write(folder.join(format!("{number}.jpg")), format!("{number}\n").repeat(number))
                .unwrap();
        }
        std::os::unix::fs::symlink("3.jpg", folder.join("link")).unwrap();
        let script = "find . | wc -l; find . -type f | wc -l; \
                      find . -type f -printf '%s\\n' | awk '{b += $1} END {print b}'; \
                      find . -type f -exec sha256sum {} + | cut -c-64 | sort | sha256sum | cut -c-64";
        let said = Command::new("sh").args(["-c", script]).current_dir(&folder).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();

        let sums = Sums::of(data.path(), "/srv/shop/img").unwrap();

        assert_eq!(sums.to_string(), said.split_whitespace().collect::<Vec<_>>().join(", "));
        assert_eq!((sums.entries, sums.files), (23, 20));
        let changed = folder.join("7.jpg");
        fs::write(&changed, "8\n".repeat(7)).unwrap();
        let after = Sums::of(data.path(), "/srv/shop/img").unwrap();
        assert_eq!((after.entries, after.bytes), (sums.entries, sums.bytes));
        assert_ne!(after, sums);
        assert_eq!(Sums::of(data.path(), "/srv/gone").unwrap(), Sums::default());
        assert_eq!(Sums::of(data.path(), "/srv/shop/img/7.jpg").unwrap().files, 1);
    }
}
