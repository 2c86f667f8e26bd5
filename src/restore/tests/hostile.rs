//! Trees as no honest backup makes them. They are planned as nodes, since decoding refuses some of
//! them earlier.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;

use tempfile::TempDir;

use super::super::plan::Plan;
use super::super::select::{Selection, Wanted};
use super::super::target::Target;
use super::super::write::Writing;
use super::super::*;
use super::bench::{DIR, node};
use crate::ground::digest::Digest;
use crate::ground::progress::Silent;
use crate::repo::{Node, NodeKind};
use crate::source::files::disk::is_name;

/// A folder to restore into, and one beside it that must stay as it is.
struct Trap {
    home: TempDir,
    plan: Plan,
}

impl Trap {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("canary")).unwrap();
        fs::write(home.path().join("canary/song"), "tweet").unwrap();
        fs::create_dir(home.path().join("to")).unwrap();
        Self { home, plan: Plan::default() }
    }

    fn canary(&self) -> PathBuf {
        self.home.path().join("canary")
    }

    fn to(&self) -> PathBuf {
        self.home.path().join("to")
    }

    /// Adds an entry as a walk would.
    fn add(&mut self, folder: &str, node: Node) -> Wanted {
        let folder = folder.as_bytes();
        let path =
            if folder.is_empty() { node.name.clone() } else { [folder, b"/", &node.name].concat() };
        self.plan.add(path, node, &Selection::Everything).unwrap()
    }

    fn link_to_canary(&self, name: &[u8]) -> Node {
        let target = self.canary().into_os_string().into_encoded_bytes();
        node(name, NodeKind::Symlink { target })
    }

    fn restore(&mut self, occupied: Occupied, fidelity: Fidelity) -> Restored {
        let request = Request {
            to: self.to(),
            select: Select::Everything,
            occupied,
            fidelity,
            most_bytes: None,
            interrupted: std::sync::Arc::default(),
        };
        let plan = std::mem::take(&mut self.plan);
        let target = Target::create(&request).unwrap();
        Writing::lay_out(target, plan, request, &|_| None).unwrap().finish(&Silent).unwrap()
    }

    /// The canary sings its song and has no company.
    fn assert_untouched(&self) {
        let beside: Vec<_> = fs::read_dir(self.home.path()).unwrap().collect();
        assert_eq!(beside.len(), 2, "something was made beside the target: {beside:?}");
        assert_eq!(fs::read_dir(self.canary()).unwrap().count(), 1);
        assert_eq!(fs::read(self.canary().join("song")).unwrap(), b"tweet");
        let mode = fs::metadata(self.canary().join("song")).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0, "its mode was changed");
    }
}

fn empty_file(name: &[u8]) -> Node {
    node(name, NodeKind::File { size: 0, content: Vec::new() })
}

#[test]
fn names_that_lead_elsewhere_are_refused_with_all_that_is_below() {
    let names: [&[u8]; 8] =
        [b"..", b".", b"", b"a/b", b"/etc", b"../canary/x", b"x\0y", b"../../canary"];
    for name in names {
        assert!(!is_name(name));
        for kind in [DIR, NodeKind::File { size: 0, content: Vec::new() }, NodeKind::Fifo] {
            let mut trap = Trap::new();
            assert_eq!(trap.add("", node(name, kind)), Wanted::No);
            trap.add("..", empty_file(b"evil"));
            trap.add("a/../../canary", empty_file(b"evil"));
            trap.add("/etc", empty_file(b"evil"));

            let restored = trap.restore(Occupied::Refuse, Fidelity::Full);

            trap.assert_untouched();
            assert_eq!(restored.damaged.len(), 1, "{restored:?}");
            assert_eq!(restored.files, 0, "{restored:?}");
        }
    }
}

#[test]
fn a_link_cannot_be_written_through() {
    for occupied in [Occupied::Refuse, Occupied::Overwrite] {
        let mut trap = Trap::new();
        let link = trap.link_to_canary(b"x");
        trap.add("", link);
        trap.add("x", empty_file(b"evil"));
        trap.add("x", empty_file(b"song"));
        trap.add("x", node(b"folder", DIR));

        let restored = trap.restore(occupied, Fidelity::Full);

        trap.assert_untouched();
        assert_eq!(restored.unrestored.len(), 3, "{restored:?}");
        assert!(fs::symlink_metadata(trap.to().join("x")).unwrap().is_symlink());
    }
}

#[test]
fn a_name_that_is_there_twice_counts_once() {
    for occupied in [Occupied::Refuse, Occupied::Overwrite] {
        let mut trap = Trap::new();
        let link = trap.link_to_canary(b"x");
        trap.add("", link);
        assert_eq!(trap.add("", node(b"x", DIR)), Wanted::No);
        trap.add("", node(b"y", DIR));
        trap.add("y", empty_file(b"z"));
        let link = trap.link_to_canary(b"y");
        assert_eq!(trap.add("", link), Wanted::No, "also after what is below");

        let restored = trap.restore(occupied, Fidelity::Full);

        trap.assert_untouched();
        assert_eq!(restored.damaged.len(), 2, "{restored:?}");
        assert!(trap.to().join("y/z").exists());
    }
}

#[test]
fn links_that_lie_in_the_target_already_are_replaced_and_not_followed() {
    let mut trap = Trap::new();
    symlink(trap.canary(), trap.to().join("folder")).unwrap();
    symlink(trap.canary().join("song"), trap.to().join("file")).unwrap();
    trap.add("", node(b"folder", DIR));
    trap.add("folder", empty_file(b"inside"));
    trap.add("", empty_file(b"file"));

    let restored = trap.restore(Occupied::Overwrite, Fidelity::Full);

    trap.assert_untouched();
    assert!(restored.unrestored.is_empty(), "{restored:?}");
    assert!(trap.to().join("folder/inside").is_file());
    assert!(fs::symlink_metadata(trap.to().join("file")).unwrap().is_file());
}

#[test]
fn sizes_that_no_content_has_make_no_file() {
    for size in [1, 1 << 63, u64::MAX] {
        let mut trap = Trap::new();
        trap.add("", node(b"huge", NodeKind::File { size, content: Vec::new() }));

        let restored = trap.restore(Occupied::Refuse, Fidelity::Full);

        assert_eq!(restored.damaged.len(), 1, "{restored:?}");
        assert!(!trap.to().join("huge").exists());
    }
}

#[test]
fn content_longer_than_any_file_is_damage() {
    let mut trap = Trap::new();
    let content = vec![BlobId(Digest::ZERO); 3];
    trap.add("", node(b"huge", NodeKind::File { size: 1 << 63, content }));
    let request = Request {
        to: trap.to(),
        select: Select::Everything,
        occupied: Occupied::Refuse,
        fidelity: Fidelity::Drill,
        most_bytes: None,
        interrupted: std::sync::Arc::default(),
    };
    let target = Target::create(&request).unwrap();
    let plan = std::mem::take(&mut trap.plan);

    let writing = Writing::lay_out(target, plan, request, &|_| Some(u64::MAX / 2)).unwrap();

    let restored = writing.finish(&Silent).unwrap();
    assert!(restored.damaged[0].what.contains("longer than any file"), "{restored:?}");
}

#[test]
fn a_drill_gives_no_set_id_bits_no_devices_and_no_owners() {
    let mut trap = Trap::new();
    trap.add("", Node { mode: 0o6755, uid: 4711, ..empty_file(b"setuid") });
    trap.add("", Node { mode: 0o1777, ..node(b"sticky", DIR) });
    trap.add("", node(b"null", NodeKind::CharDevice { number: 0x103 }));
    let capability = (b"security.capability".to_vec(), vec![1; 20]);
    trap.add("", Node { xattrs: vec![capability], ..empty_file(b"ping") });

    let restored = trap.restore(Occupied::Refuse, Fidelity::Drill);

    let setuid = fs::metadata(trap.to().join("setuid")).unwrap();
    assert_eq!(setuid.mode() & 0o7777, 0o755);
    assert_ne!(setuid.uid(), 4711);
    assert_eq!(fs::metadata(trap.to().join("sticky")).unwrap().mode() & 0o7777, 0o777);
    assert!(!trap.to().join("null").exists());
    assert!(restored.unrestored.is_empty(), "{restored:?}");
    assert_eq!(restored.notes.len(), 4, "{:?}", restored.notes);
}

#[test]
fn root_gets_set_id_bits_devices_and_owners_back() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut trap = Trap::new();
    trap.add("", Node { mode: 0o6755, uid: 4711, gid: 4712, ..empty_file(b"setuid") });
    trap.add("", node(b"null", NodeKind::CharDevice { number: 0x103 }));

    let restored = trap.restore(Occupied::Refuse, Fidelity::Full);

    let setuid = fs::metadata(trap.to().join("setuid")).unwrap();
    assert_eq!((setuid.mode() & 0o7777, setuid.uid(), setuid.gid()), (0o6755, 4711, 4712));
    assert_eq!(fs::metadata(trap.to().join("null")).unwrap().rdev(), 0x103);
    assert!(restored.unrestored.is_empty(), "{restored:?}");
}

#[test]
fn three_hundred_folders_deep_are_no_trouble() {
    let mut trap = Trap::new();
    let mut folder = String::new();
    for _ in 0..300 {
        assert_eq!(trap.add(&folder, node(b"deeper", DIR)), Wanted::Yes);
        folder = if folder.is_empty() { "deeper".to_owned() } else { format!("{folder}/deeper") };
    }

    let restored = trap.restore(Occupied::Refuse, Fidelity::Full);

    assert_eq!((restored.dirs, restored.unrestored.len()), (300, 0));
}

#[test]
fn entries_that_claim_to_be_one_file_but_differ_in_content_are_not_linked() {
    let mut trap = Trap::new();
    let one = Node { inode: 7, device_id: 1, links: 2, ..empty_file(b"one") };
    let other = NodeKind::File { size: 1, content: vec![BlobId(Digest::ZERO)] };
    trap.add("", one.clone());
    trap.add("", Node { name: b"same".to_vec(), ..one.clone() });
    trap.add("", Node { name: b"other".to_vec(), kind: other, ..one });

    let restored = trap.restore(Occupied::Refuse, Fidelity::Full);

    assert_eq!((restored.files, restored.damaged.len()), (2, 1), "{restored:?}");
    let inode = |name| fs::metadata(trap.to().join(name)).unwrap().ino();
    assert_eq!(inode("one"), inode("same"));
    assert!(!trap.to().join("other").exists());
}

#[test]
fn very_many_folders_with_names_out_of_order_are_planned_without_delay() {
    let mut trap = Trap::new();
    let begun = std::time::Instant::now();

    for number in 0..40_000 {
        let name = format!("{number:06}");
        trap.add("", node(name.as_bytes(), DIR));
        assert_eq!(trap.add(&name, empty_file(b"b")), Wanted::Yes);
        assert_eq!(trap.add(&name, empty_file(b"a")), Wanted::Yes);
        assert_eq!(trap.add(&name, empty_file(b"b")), Wanted::No, "it is there twice");
    }

    let seconds = begun.elapsed().as_secs();
    assert!(seconds < 20, "{seconds} s for 40,000 folders");
}
