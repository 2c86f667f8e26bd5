use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use rustix::fs::{FileType, Mode, XattrFlags};

use super::super::*;
use super::*;
use crate::ground::clock::SystemClock;
use crate::ground::progress::Silent;

/// Keeps what it gets and reads content when asked to settle, as `backup` does on its threads.
#[derive(Default)]
struct Recorder {
    entries: Mutex<Vec<(String, Meta)>>,
    pending: Mutex<Vec<(String, Box<dyn Open>)>>,
    contents: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Runs before the first read of `settle`.
    before_reading: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// Runs between the last read and `finish`.
    before_finish: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Sink for Recorder {
    fn put(&self, entry: Entry) -> Result<(), Error> {
        let path = String::from_utf8_lossy(&entry.path).into_owned();
        if let Some(content) = entry.content {
            self.pending.lock().unwrap().push((path.clone(), content));
        }
        self.entries.lock().unwrap().push((path, entry.meta));
        Ok(())
    }

    fn in_any_order(&self) {}

    fn start_over(&self) -> Result<(), Error> {
        unreachable!("a folder is captured once")
    }

    fn settle(&self) -> Result<Vec<Skipped>, Error> {
        if let Some(act) = self.before_reading.lock().unwrap().take() {
            act();
        }
        let mut skipped = Vec::new();
        for (path, content) in self.pending.lock().unwrap().drain(..) {
            let read = || {
                let mut stream = content.open()?;
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes)?;
                if let Some(act) = self.before_finish.lock().unwrap().take() {
                    act();
                }
                Ok::<_, io::Error>((bytes, stream.finish()?))
            };
            let reason = match read() {
                Ok((bytes, reason)) => {
                    self.contents.lock().unwrap().insert(path.clone(), bytes);
                    reason
                }
                Err(error) => Some(error.to_string()),
            };
            skipped.extend(reason.map(|reason| Skipped { path, reason }));
        }
        Ok(skipped)
    }
}

impl Recorder {
    fn paths_below(&self, root: &Path) -> Vec<String> {
        let base = format!("{}/", root.display()).split_off(1);
        let entries = self.entries.lock().unwrap();
        entries.iter().filter_map(|(path, _)| Some(path.strip_prefix(&base)?.to_owned())).collect()
    }

    fn meta(&self, path: &Path) -> Meta {
        let wanted = path.display().to_string().split_off(1);
        let entries = self.entries.lock().unwrap();
        entries.iter().find(|(path, _)| *path == wanted).expect("the entry was put").1.clone()
    }
}

fn context() -> Context {
    Context {
        clock: Arc::new(SystemClock),
        progress: Arc::new(Silent),
        staging: PathBuf::from("/nonexistent"),
        interrupted: Arc::new(AtomicBool::new(false)),
        questions: Vec::new(),
    }
}

fn files(paths: &[&Path], exclude: &[&str]) -> Files {
    let settings = FilesSettings {
        paths: paths.iter().map(|path| path.to_path_buf()).collect(),
        exclude: exclude.iter().map(|pattern| (*pattern).to_owned()).collect(),
        one_file_system: true,
        may_skip: Vec::new(),
    };
    Files::new("uploads".parse().unwrap(), settings)
}

fn capture(source: &Files, sink: &Recorder) -> Capture {
    source.capture(&context(), sink).unwrap()
}

/// The fingerprint of what lies at `data`/`root`, as a drill takes it.
fn fingerprint_below(source: &Files, captured: &Capture, data: &Path) -> Fingerprint {
    recover_below(source, captured, data).fingerprint().unwrap()
}

fn recover_below(source: &Files, captured: &Capture, data: &Path) -> Box<dyn Recovered> {
    source.recovered(captured, data).unwrap_or_else(|error| panic!("{error:?}"))
}

#[test]
fn a_folder_comes_before_what_is_in_it_and_names_in_the_order_of_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("b/inner")).unwrap();
    for name in ["b/inner/z", "b/a", "B", "b.txt", "ä"] {
        fs::write(dir.path().join(name), name).unwrap();
    }
    let sink = Recorder::default();

    let captured = capture(&files(&[dir.path()], &[]), &sink);

    let expected = ["B", "b", "b/a", "b/inner", "b/inner/z", "b.txt", "ä"];
    assert_eq!(sink.paths_below(dir.path()), expected);
    assert_eq!((captured.entries, captured.bytes), (8, 20));
    assert!(captured.skipped.is_empty(), "{:?}", captured.skipped);
    let parent = sink.meta(dir.path().parent().unwrap());
    assert_eq!(parent.kind, EntryKind::Dir, "the folders above are put too");
}

#[test]
fn odd_entries_are_recorded_and_never_opened() {
    let dir = tempfile::tempdir().unwrap();
    let at = rustix::fs::open(dir.path(), rustix::fs::OFlags::PATH, Mode::empty()).unwrap();
    rustix::fs::mknodat(&at, "fifo", FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    symlink(std::ffi::OsStr::from_bytes(b"nowhere\xff"), dir.path().join("link")).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"line\nend \xff");
    fs::write(dir.path().join(odd), "odd").unwrap();
    let sink = Recorder::default();

    let captured = capture(&files(&[dir.path()], &[]), &sink);

    assert!(captured.skipped.is_empty(), "{:?}", captured.skipped);
    assert_eq!(sink.meta(&dir.path().join("fifo")).kind, EntryKind::Fifo);
    assert_eq!(sink.meta(&dir.path().join("socket")).kind, EntryKind::Socket);
    let target = b"nowhere\xff".to_vec();
    assert_eq!(sink.meta(&dir.path().join("link")).kind, EntryKind::Symlink { target });
    assert!(sink.paths_below(dir.path()).iter().any(|path| path.starts_with("line\nend ")));
}

#[test]
fn attributes_and_hard_links_are_seen() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("one");
    fs::write(&file, "x").unwrap();
    fs::hard_link(&file, dir.path().join("two")).unwrap();
    let long = vec![7; 2000];
    rustix::fs::lsetxattr(&file, "user.origin", &long, XattrFlags::empty()).unwrap();
    let sink = Recorder::default();

    capture(&files(&[dir.path()], &[]), &sink);

    let (one, two) = (sink.meta(&file), sink.meta(&dir.path().join("two")));
    assert_eq!(one.xattrs, vec![(b"user.origin".to_vec(), long)]);
    assert_eq!((one.inode, one.device_id, one.links), (two.inode, two.device_id, 2));
    assert!(!one.reusable, "it was written a moment ago");
}

#[test]
fn what_the_policy_excludes_is_neither_put_nor_counted() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("cache/deep")).unwrap();
    for name in ["cache/deep/a", "a.tmp", "keep.tmp", "b"] {
        fs::write(dir.path().join(name), name).unwrap();
    }
    let sink = Recorder::default();

    let captured = capture(&files(&[dir.path()], &["*.tmp", "!keep.tmp", "cache/"]), &sink);

    assert_eq!(sink.paths_below(dir.path()), ["b", "keep.tmp"]);
    assert_eq!(captured.entries, 3);
}

#[test]
fn a_path_that_does_not_exist_or_is_a_link_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    symlink(dir.path(), dir.path().join("link")).unwrap();
    for (name, expected) in [("missing", "missing"), ("link", "name where it leads")] {
        let path = dir.path().join(name);
        let error =
            files(&[&path], &[]).capture(&context(), &Recorder::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_file_that_vanishes_before_it_is_read_is_skipped_and_not_in_the_fingerprint() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        fs::write(dir.path().join(name), name).unwrap();
    }
    let sink = Recorder::default();
    let gone = dir.path().join("b");
    *sink.before_reading.lock().unwrap() = Some(Box::new(move || fs::remove_file(gone).unwrap()));
    let source = files(&[dir.path()], &[]);

    let captured = capture(&source, &sink);

    let [skipped] = captured.skipped.as_slice() else { panic!("{:?}", captured.skipped) };
    assert_eq!(Path::new(&skipped.path), dir.path().join("b"));
    assert!(skipped.reason.contains("vanished"), "{}", skipped.reason);
    assert_eq!(captured.entries, 3);
    assert_eq!(captured.fingerprint.parts[&dir.path().display().to_string()].rows, 3);
}

#[test]
fn a_file_swapped_for_a_fifo_or_another_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "a").unwrap();
    let sink = Recorder::default();
    let path = dir.path().to_owned();
    *sink.before_reading.lock().unwrap() = Some(Box::new(move || {
        fs::rename(path.join("a"), path.join("old")).unwrap();
        let at = rustix::fs::open(&path, rustix::fs::OFlags::PATH, Mode::empty()).unwrap();
        rustix::fs::mknodat(&at, "a", FileType::Fifo, Mode::RUSR, 0).unwrap();
    }));

    let captured = capture(&files(&[dir.path()], &[]), &sink);

    assert!(captured.skipped[0].reason.contains("replaced"), "{:?}", captured.skipped);
    assert!(sink.contents.lock().unwrap().is_empty());
}

#[test]
fn a_file_that_changes_while_it_is_read_is_stored_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    fs::write(&log, "first line\n").unwrap();
    let sink = Recorder::default();
    let path = log.clone();
    *sink.before_finish.lock().unwrap() = Some(Box::new(move || {
        let mut log = fs::OpenOptions::new().append(true).open(path).unwrap();
        log.write_all(b"second line\n").unwrap();
    }));

    let captured = capture(&files(&[dir.path()], &[]), &sink);

    assert!(captured.skipped[0].reason.contains("changed"), "{:?}", captured.skipped);
    assert_eq!(sink.contents.lock().unwrap().values().next().unwrap(), b"first line\n");
    assert_eq!(captured.entries, 2);
}

#[test]
fn a_log_that_grows_after_the_walk_is_read_to_the_size_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    fs::write(&log, "first line\n").unwrap();
    let sink = Recorder::default();
    let path = log.clone();
    *sink.before_reading.lock().unwrap() = Some(Box::new(move || {
        fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"more\n").unwrap();
    }));

    let captured = capture(&files(&[dir.path()], &[]), &sink);

    assert_eq!(sink.contents.lock().unwrap().values().next().unwrap(), b"first line\n");
    assert_eq!(captured.bytes, 11);
    assert_eq!(captured.skipped.len(), 1, "{:?}", captured.skipped);
}

#[test]
fn paths_longer_than_any_system_call_takes_are_walked() {
    let dir = tempfile::tempdir().unwrap();
    let name = "d".repeat(200);
    let mut at = rustix::fs::open(dir.path(), rustix::fs::OFlags::PATH, Mode::empty()).unwrap();
    for _ in 0..100 {
        rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, &name, rustix::fs::OFlags::PATH, Mode::empty()).unwrap();
    }
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    let file = rustix::fs::openat(&at, "leaf", flags, Mode::RUSR).unwrap();
    rustix::io::write(&file, b"deep").unwrap();
    rustix::fs::mkdirat(&at, "sibling", Mode::RWXU).unwrap();
    fs::write(dir.path().join("last"), "").unwrap();
    let sink = Recorder::default();
    let source = files(&[dir.path()], &[]);

    let captured = capture(&source, &sink);

    assert!(captured.skipped.is_empty(), "{:?}", captured.skipped);
    assert_eq!(captured.entries, 104);
    assert_eq!(sink.contents.lock().unwrap().values().filter(|it| *it == b"deep").count(), 1);
    assert_eq!(fingerprint_below(&source, &captured, Path::new("/")), captured.fingerprint);
}

#[test]
fn restored_files_have_the_captured_fingerprint_until_anything_differs() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("img")).unwrap();
    fs::write(dir.path().join("img/a"), "a").unwrap();
    fs::write(dir.path().join("b"), "bb").unwrap();
    symlink("b", dir.path().join("link")).unwrap();
    let source = files(&[dir.path()], &[]);
    let captured = capture(&source, &Recorder::default());
    let again = || fingerprint_below(&source, &captured, Path::new("/")) == captured.fingerprint;
    assert!(again());

    let changes: [&dyn Fn(&Path); 5] = [
        &|root| fs::write(root.join("extra"), "").unwrap(),
        &|root| fs::set_permissions(root.join("b"), fs::Permissions::from_mode(0o600)).unwrap(),
        &|root| fs::rename(root.join("img/a"), root.join("img/c")).unwrap(),
        &|root| fs::write(root.join("img/c"), "longer").unwrap(),
        &|root| fs::remove_file(root.join("link")).unwrap(),
    ];
    for (number, change) in changes.iter().enumerate() {
        change(dir.path());
        assert!(!again(), "change {number} was not seen");
    }
}

#[test]
fn a_missing_path_has_no_rows_and_the_self_check_says_so() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "a").unwrap();
    let source = files(&[dir.path()], &[]);
    let captured = capture(&source, &Recorder::default());
    let empty = tempfile::tempdir().unwrap();

    let mut recovered = recover_below(&source, &captured, empty.path());
    let checked = recovered.self_check().unwrap();

    assert_eq!(checked.compared, None);
    assert_eq!(checked.problems.len(), 1, "{checked:?}");
    assert_eq!(recovered.files(), None);
}

#[test]
fn an_injured_file_keeps_its_size_and_times() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("empty"), "").unwrap();
    fs::write(dir.path().join("full"), "abc").unwrap();
    let source = files(&[dir.path()], &[]);
    let captured = capture(&source, &Recorder::default());
    let mut recovered = recover_below(&source, &captured, Path::new("/"));

    let place = recovered.injure(Fault::ByteFlipped).unwrap().unwrap();

    assert_eq!(place.object, format!("file uploads{}/full", dir.path().display()));
    assert_eq!(fs::read(dir.path().join("full")).unwrap(), [b'a', !b'b', b'c']);
    assert_eq!(recovered.fingerprint().unwrap(), captured.fingerprint);
    assert_eq!(recovered.injure(Fault::RowChanged).unwrap(), None);
    assert_eq!(recovered.files(), Some(dir.path()));
    assert!(matches!(
        recovered.query(None, "SELECT 1", std::time::Duration::from_secs(1)),
        Err(Trouble::Environment(_))
    ));
}

#[test]
fn an_interrupted_capture_ends_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "a").unwrap();
    let context = context();
    context.interrupted.store(true, Ordering::Relaxed);

    let error = files(&[dir.path()], &[]).capture(&context, &Recorder::default()).unwrap_err();

    assert!(matches!(error, Error::Interrupted), "{error:?}");
}

#[test]
fn a_single_file_can_be_protected_and_probed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("conf");
    fs::write(&path, "k=v").unwrap();
    let source = files(&[&path], &[]);

    let captured = capture(&source, &Recorder::default());
    let facts = source.probe(&context()).unwrap();

    assert_eq!((captured.entries, captured.bytes, facts.scratch_bytes), (1, 3, 3));
    assert_eq!(fingerprint_below(&source, &captured, Path::new("/")), captured.fingerprint);
}

#[test]
fn a_writer_that_never_sleeps_does_not_hold_up_the_reader() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    fs::write(&log, "start").unwrap();
    let (stop, stopped) = mpsc::channel::<()>();
    let path = log.clone();
    let writer = std::thread::spawn(move || {
        let mut log = fs::OpenOptions::new().append(true).open(path).unwrap();
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            log.write_all(&[b'x'; 512]).unwrap();
            std::thread::yield_now();
        }
    });
    let sink = Recorder::default();

    let captured = capture(&files(&[dir.path()], &[]), &sink);
    stop.send(()).unwrap();
    writer.join().unwrap();

    let read: u64 = sink.contents.lock().unwrap().values().map(|it| it.len() as u64).sum();
    assert_eq!(read, captured.bytes);
}
