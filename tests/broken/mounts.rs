//! File systems that only this thread and its children see, and that go with them: a full one, and
//! one that can lose its power. Root's to make, and a loop device's to hold.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::bench::{Ran, must};

/// From here on what this thread and its children mount is theirs alone.
pub fn alone() {
    // SAFETY: nothing but the view of mounts is no longer shared; open files stay as they are.
    let unshared = unsafe { unshare_unsafe(UnshareFlags::NEWNS) };
    unshared.expect("these tests mount file systems: they run as root");
    must(Command::new("mount").args(["--make-rprivate", "/"]));
}

/// A small file system in memory.
pub struct Memory {
    place: PathBuf,
}

/// What there is still room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Bytes(u64),
    Files(u64),
}

const MEMORY_BYTES: u64 = 64 << 20;

impl Memory {
    /// Mounted at the folder `place`, which is hidden by it.
    pub fn at(place: &Path) -> Self {
        let size = format!("size={MEMORY_BYTES},mode=700");
        must(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "lifeboat"]).arg(place));
        Self { place: place.to_owned() }
    }

    /// Takes everything but what is `left`.
    pub fn fill(&self, left: Left) {
        let free = rustix::fs::statvfs(&self.place).unwrap();
        match left {
            Left::Bytes(left) => {
                let file = std::fs::File::create(self.filler()).unwrap();
                let bytes = (free.f_bavail * free.f_frsize).saturating_sub(left);
                let flags = rustix::fs::FallocateFlags::empty();
                rustix::fs::fallocate(&file, flags, 0, bytes.max(1)).unwrap();
            }
            Left::Files(left) => self.limit(free.f_files - free.f_ffree + left),
        }
    }

    /// Gives it back.
    pub fn empty(&self) {
        // There is none where files were what was missing.
        let _ = std::fs::remove_file(self.filler());
        self.limit(1 << 20);
    }

    fn limit(&self, files: u64) {
        let files = format!("remount,nr_inodes={files}");
        must(Command::new("mount").args(["-o", &files]).arg(&self.place));
    }

    fn filler(&self) -> PathBuf {
        self.place.join("filler")
    }
}

/// A disk: ext4 in a file.
pub struct Disk {
    image: PathBuf,
    place: PathBuf,
}

/// Nothing is written but what was asked for: no commit by time, no help for those who rename over
/// a file that they did not sync.
const OPTIONS: &str = "loop,noatime,commit=3600,noauto_da_alloc";

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`, see fs/ext4/ext4.h: from now on the file
/// system takes and writes nothing, not even what its journal still holds.
const SHUTDOWN: &str = r#"
open(my $disk, "<", $ARGV[0]) or die "$ARGV[0]: $!";
my $flags = pack("L", 2);
ioctl($disk, 0x8004587d, $flags) or die "shut down: $!";
"#;

impl Disk {
    pub fn at(place: &Path, image: &Path) -> Self {
        std::fs::File::create(image).unwrap().set_len(192 << 20).unwrap();
        must(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(image));
        let disk = Self { image: image.to_owned(), place: place.to_owned() };
        disk.mount();
        disk
    }

    fn mount(&self) {
        must(Command::new("mount").args(["-o", OPTIONS]).arg(&self.image).arg(&self.place));
    }

    /// Writes down durably that the disk is sound, for [`Self::comes_back`].
    pub fn mark(&self) {
        std::fs::write(self.place.join("synced"), "synced").unwrap();
        std::fs::File::open(self.place.join("synced")).unwrap().sync_all().unwrap();
    }

    /// The power goes, and with it whatever nobody synced.
    pub fn lose_power(&self) {
        std::fs::write(self.place.join("lost"), "lost").unwrap();
        must(Command::new("perl").args(["-e", SHUTDOWN]).arg(&self.place));
    }

    /// The power is back; whoever used the disk has ended. Answers whether something was lost: where
    /// somebody synced all disks of the machine in the last moment, nothing was.
    pub fn comes_back(&self) -> bool {
        let begun = Instant::now();
        loop {
            let ran = Ran::from(Command::new("umount").arg(&self.place).output().unwrap());
            if ran.code == 0 {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(5), "something is left: {}", ran.stderr);
            std::thread::sleep(Duration::from_millis(20));
        }
        self.mount();
        let read = |name| std::fs::read_to_string(self.place.join(name)).unwrap_or_default();
        assert_eq!(read("synced"), "synced", "what was synced is gone");
        // Its name may have become durable with what others synced.
        read("lost").is_empty()
    }
}
