//! A repository that restic made, restored by restic and by lifeboat: the same tree, metadata
//! included. Needs `restic` on the path: what is promised here cannot be shown without it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, RwLock};

use lifeboat::ground::progress::Silent;
use lifeboat::repo::{Reader, Repository};
use lifeboat::restore::{self, Fidelity, Occupied, Request, Select};
use lifeboat::store::{Memory, Put, Store};

const PASSWORD: &str = "correct horse";

fn restic(repository: &Path, arguments: &[&str]) {
    let output = Command::new("restic")
        .args(["--quiet", "--no-cache", "--repo"])
        .arg(repository)
        .args(arguments)
        .env("RESTIC_PASSWORD", PASSWORD)
        .output()
        .expect("restic is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// One line an entry: kind, mode, owner, links, size, mtime, path, link target; then attributes.
fn listing(root: &Path) -> String {
    let script = "find . -mindepth 1 -printf '%y %m %U:%G %n %s %T@ %p -> %l\\n' | \
                  sed '/^d/s/^\\(d [^ ]* [^ ]* [^ ]*\\) [^ ]*/\\1/' | LC_ALL=C sort && \
                  find . -type f -exec sha256sum {} + | LC_ALL=C sort && getfattr -R -d -m - . | cat";
    let output = Command::new("sh").args(["-c", script]).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn load(store: &Memory, root: &Path, folder: &Path) {
    let mut ahead = vec![folder.to_owned()];
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                ahead.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().parse().unwrap();
            store.put(&name, fs::read(path).unwrap().into(), Put::Create).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restic_and_lifeboat_restore_the_same_tree() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    fs::create_dir_all(at("data/img/empty")).unwrap();
    for number in 0..200 {
        fs::write(at(&format!("data/img/{number}.txt")), format!("{number}\n").repeat(number))
            .unwrap();
    }
    fs::write(at("data/line\nend \u{e4}"), vec![b'z'; 3 << 20]).unwrap();
    fs::hard_link(at("data/img/7.txt"), at("data/linked")).unwrap();
    symlink("img/7.txt", at("data/link")).unwrap();
    let attribute = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(at("data/img/8.txt"), "user.origin", b"camera", attribute).unwrap();
    restic(&at("repo"), &["init"]);
    restic(&at("repo"), &["backup", at("data").to_str().unwrap()]);
    restic(&at("repo"), &["restore", "latest", "--target", at("theirs").to_str().unwrap()]);
    let store = Arc::new(Memory::new());
    load(&store, &at("repo"), &at("repo")).await;
    let repository = Repository::open(store, &PASSWORD.to_owned().into()).await.unwrap();
    let snapshot = repository.snapshots().await.unwrap().pop().unwrap().1;
    let index = Arc::new(RwLock::new(repository.load_index().await.unwrap()));
    let reader = Reader::new(Arc::new(repository), index);
    let request = Request {
        to: at("ours"),
        select: Select::Everything,
        occupied: Occupied::Refuse,
        fidelity: Fidelity::Full,
        most_bytes: None,
        interrupted: Arc::default(),
    };

    let restored = restore::run(&reader, snapshot.tree, &request, Arc::new(Silent)).await.unwrap();
    let compared =
        restore::recheck(&reader, snapshot.tree, &request, Arc::new(Silent)).await.unwrap();

    assert_eq!((&restored.damaged[..], &restored.unrestored[..]), (&[][..], &[][..]));
    assert_eq!(compared.differences, []);
    assert_eq!(restored.files, 202);
    let theirs = Request { to: at("theirs"), ..request };
    let compared =
        restore::recheck(&reader, snapshot.tree, &theirs, Arc::new(Silent)).await.unwrap();
    assert_eq!(compared.differences, [], "what restic restored is not what its trees say");
    let ours = listing(&at("ours"));
    assert!(ours.contains("user.origin=\"camera\""), "attributes are not in the listing: {ours}");
    assert_eq!(ours, listing(&at("theirs")));
}
