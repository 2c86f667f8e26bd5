//! Out of a folder, into a repository, back onto a disk: everything is as it was.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{FileType, Mode, OFlags, XattrFlags};

use super::super::*;
use super::bench::Bench;
use crate::source::{Fault, Recovered};
use crate::store::Memory;

/// user::rw-, user:1000:r--, group::r--, mask::r--, other::---, as acl(5) stores it.
const ACL: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 232, 3, 0, 0, 4, 0, 4, 0, 255, 255,
    255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];

/// One of every oddity that a folder can hold.
fn fill(root: &Path) {
    fs::create_dir_all(root.join("img/empty")).unwrap();
    fs::write(root.join("img/a.jpg"), b"picture").unwrap();
    fs::write(root.join("img/empty file"), b"").unwrap();
    fs::hard_link(root.join("img/a.jpg"), root.join("linked")).unwrap();
    symlink("img/a.jpg", root.join("link")).unwrap();
    symlink(OsStr::from_bytes(b"nowhere\xff\n"), root.join("dangling")).unwrap();
    fs::write(root.join(OsStr::from_bytes(b"line\nend \xff\xfe")), b"odd name").unwrap();
    let at = rustix::fs::open(root, OFlags::PATH, Mode::empty()).unwrap();
    rustix::fs::mknodat(&at, "fifo", FileType::Fifo, Mode::RUSR, 0).unwrap();
    rustix::fs::mknodat(&at, "socket", FileType::Socket, Mode::RUSR, 0).unwrap();
    fs::write(root.join("acl"), b"shared").unwrap();
    let acl = "system.posix_acl_access";
    rustix::fs::lsetxattr(root.join("acl"), acl, &ACL, XattrFlags::empty()).unwrap();
    let attribute = "user.origin";
    rustix::fs::lsetxattr(root.join("img"), attribute, b"camera\0", XattrFlags::empty()).unwrap();
    let mut sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.write_all(b"head").unwrap();
    sparse.set_len(20 << 20).unwrap();
    sparse.seek(SeekFrom::Start(15 << 20)).unwrap();
    sparse.write_all(b"body").unwrap();
    fs::set_permissions(root.join("img/a.jpg"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(root.join("img/empty"), fs::Permissions::from_mode(0o500)).unwrap();
    deep(root);
    let before_1970 = SystemTime::UNIX_EPOCH - Duration::from_nanos(1_500_000_001);
    let file = fs::File::open(root.join("img/empty file")).unwrap();
    file.set_modified(before_1970).unwrap();
    let folder = fs::File::open(root.join("img")).unwrap();
    folder.set_modified(SystemTime::UNIX_EPOCH + Duration::from_nanos(987_654_321)).unwrap();
}

/// A file whose path is some 5 KB long.
fn deep(root: &Path) {
    let name = CString::new("d".repeat(250)).unwrap();
    let mut at = rustix::fs::open(root, OFlags::PATH, Mode::empty()).unwrap();
    for _ in 0..20 {
        rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, &name, OFlags::PATH, Mode::empty()).unwrap();
    }
    let flags = OFlags::CREATE | OFlags::WRONLY;
    let leaf = rustix::fs::openat(&at, "leaf", flags, Mode::RUSR).unwrap();
    rustix::io::write(&leaf, b"deep").unwrap();
}

#[test]
fn a_restore_stops_once_somebody_asks_for_an_end() {
    let bench = Bench::new(Arc::new(Memory::new()));
    fill(bench.origin.path());
    let (tree, _) = bench.back_up();
    let request = bench.request();
    request.interrupted.store(true, Ordering::Relaxed);

    let stopped = bench.restore(&bench.reader(), tree, &request);

    assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
}

#[test]
fn every_odd_entry_comes_back_as_it_was() {
    let bench = Bench::new(Arc::new(Memory::new()));
    fill(bench.origin.path());
    let (tree, captured) = bench.back_up();
    assert!(captured.skipped.is_empty(), "{:?}", captured.skipped);

    for fidelity in [Fidelity::Full, Fidelity::Drill] {
        let request = Request { fidelity, ..bench.request() };
        let restored = bench.restore(&bench.reader(), tree, &request).unwrap();

        assert_eq!((restored.unrestored.len(), restored.damaged.len()), (0, 0), "{restored:?}");
        let compared = bench.recheck(tree, &request);
        assert_eq!(compared.differences, [], "{compared:?}");
        assert_eq!(compared.files, restored.files);
        assert!(compared.entries > captured.entries, "the folders above are compared too");
        let mut recovered = recovered(&bench, &captured);
        assert_eq!(recovered.fingerprint().unwrap(), captured.fingerprint);
        assert_eq!(recovered.self_check().unwrap().problems, []);

        let stat = |name: &str| fs::symlink_metadata(bench.restored(name)).unwrap();
        assert_eq!(stat("img/a.jpg").ino(), stat("linked").ino());
        assert!(stat("sparse").blocks() * 512 < 16 << 20, "{}", stat("sparse").blocks());
        assert_eq!(stat("sparse").len(), 20 << 20);
        assert_eq!((stat("img").mtime(), stat("img").mtime_nsec()), (0, 987_654_321));
        assert_eq!(stat("img/empty file").mtime_nsec(), 499_999_999);
        assert_eq!(stat("img/empty").mode() & 0o7777, 0o500);
        let (attributes, _) = attributes(&bench.restored("acl"));
        assert_eq!(attributes, [(b"system.posix_acl_access".to_vec(), ACL.to_vec())]);
        fs::remove_dir_all(&request.to).unwrap();
    }
}

#[allow(clippy::type_complexity)]
fn attributes(path: &Path) -> (Vec<(Vec<u8>, Vec<u8>)>, Vec<(Vec<u8>, std::io::Error)>) {
    use crate::source::files::disk;

    let folder = disk::open_path(path.parent().unwrap()).unwrap();
    let name = CString::new(path.file_name().unwrap().as_bytes()).unwrap();
    disk::xattrs(&folder, &name).unwrap()
}

fn recovered(bench: &Bench, captured: &crate::source::Capture) -> Box<dyn Recovered> {
    // Files need no scratch beyond the folder that they were restored to.
    let data = bench.request().to.join("uploads");
    bench.source().recovered(captured, &data).unwrap_or_else(|error| panic!("{error:?}"))
}

#[test]
fn every_change_to_what_was_restored_is_found_at_its_place() {
    let bench = Bench::new(Arc::new(Memory::new()));
    let origin = bench.origin.path();
    fs::create_dir(origin.join("img")).unwrap();
    for name in ["img/a", "img/b", "c"] {
        fs::write(origin.join(name), name.repeat(400_000)).unwrap();
    }
    symlink("c", origin.join("link")).unwrap();
    let (tree, _) = bench.back_up();
    let request = Request { fidelity: Fidelity::Drill, ..bench.request() };

    let mtime_kept = |path: &Path, change: &dyn Fn()| {
        let before = fs::metadata(path).unwrap().modified().unwrap();
        change();
        fs::File::open(path).unwrap().set_modified(before).unwrap();
    };
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[777_777] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    type Change<'a> = (&'a str, &'a str, &'a dyn Fn());
    let (a, c, img) = (bench.restored("img/a"), bench.restored("c"), bench.restored("img"));
    let changes: [Change<'_>; 6] = [
        ("file img/a", "content differs", &|| mtime_kept(&a, &|| flip(&a))),
        ("file c", "is missing", &|| {
            let folder = bench.restored("");
            mtime_kept(&folder, &|| fs::remove_file(&c).unwrap());
        }),
        ("entry img/extra", "not in the snapshot", &|| {
            mtime_kept(&img, &|| fs::write(img.join("extra"), "").unwrap());
        }),
        ("file img/a", "has mode", &|| {
            fs::set_permissions(&a, fs::Permissions::from_mode(0o777)).unwrap();
        }),
        ("folder img", "was changed at", &|| {
            fs::File::open(&img).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }),
        ("file img/a", "attribute", &|| {
            rustix::fs::lsetxattr(&a, "user.new", b"", XattrFlags::empty()).unwrap();
        }),
    ];
    for (object, what, change) in changes {
        bench.restore(&bench.reader(), tree, &request).unwrap();
        assert_eq!(bench.recheck(tree, &request).total_differences, 0);
        change();

        let compared = bench.recheck(tree, &request);

        let [place] = compared.differences.as_slice() else { panic!("{what}: {compared:?}") };
        let (kind, name) = object.split_once(' ').unwrap();
        assert_eq!(place.object, format!("{kind} {}", bench.shown(name)));
        assert!(place.what.contains(what), "{place:?}");
        fs::remove_dir_all(&request.to).unwrap();
    }
}

#[test]
fn an_injury_is_found_where_it_was_put() {
    let bench = Bench::new(Arc::new(Memory::new()));
    fs::write(bench.origin.path().join("only"), "one file").unwrap();
    let (tree, captured) = bench.back_up();
    let request = Request { fidelity: Fidelity::Drill, ..bench.request() };
    bench.restore(&bench.reader(), tree, &request).unwrap();

    let injured = recovered(&bench, &captured).injure(Fault::ByteFlipped).unwrap().unwrap();

    let compared = bench.recheck(tree, &request);
    let found: Vec<_> = compared.differences.iter().map(|place| &place.object).collect();
    assert_eq!(found, [&injured.object]);
}

#[test]
fn one_source_or_a_pattern_brings_back_only_that() {
    let bench = Bench::new(Arc::new(Memory::new()));
    let origin = bench.origin.path();
    for folder in ["img/small", "doc"] {
        fs::create_dir_all(origin.join(folder)).unwrap();
    }
    for name in ["img/a.jpg", "img/b.txt", "img/small/c.jpg", "doc/d.txt"] {
        fs::write(origin.join(name), name).unwrap();
    }
    let (tree, _) = bench.back_up();
    let restore = |select| {
        let request = Request { select, ..bench.request() };
        let restored = bench.restore(&bench.reader(), tree, &request)?;
        assert_eq!(bench.recheck(tree, &request).differences, []);
        let doc = bench.restored("doc").exists();
        fs::remove_dir_all(&request.to).unwrap();
        Ok::<_, Error>((restored.files, doc))
    };
    let patterns = |pattern: &str| Select::Patterns(vec![pattern.to_owned()]);

    assert_eq!(restore(Select::Source("uploads".parse().unwrap())).unwrap(), (4, true));
    assert_eq!(restore(patterns("*.jpg")).unwrap(), (2, false));
    assert_eq!(restore(patterns("small/")).unwrap(), (1, false));
    let absolute = format!("{}/img", origin.display());
    assert_eq!(restore(patterns(&absolute)).unwrap(), (3, false));
    for nothing in [patterns("*.gif"), Select::Source("other".parse().unwrap())] {
        let error = restore(nothing).unwrap_err();
        assert!(matches!(error, Error::Nothing { .. }), "{error:?}");
    }
}
