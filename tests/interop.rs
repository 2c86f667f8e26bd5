//! Against programs nobody here wrote: stock restic (0.14.0, 0.19.1) and rustic on our repositories,
//! and we on theirs.

mod bench;

use std::fs;
use std::path::Path;
use std::process::Command;

use bench::{Bench, inventory, must, new_restic, old_restic, rustic};

/// Fills a folder with everything a file system can hold that a backup tool tends to forget.
fn odd_tree(folder: &Path) {
    let script = r#"
set -e
cd "$1"
mkdir -p plain 'with blank' deep/a/b/c
echo one > plain/one; ln plain/one plain/hard; ln -s one plain/soft; ln -s /no/where plain/dangling
printf 'x' > $'plain/new\nline'; printf 'y' > $'plain/\xff\xfe'; printf 'z' > 'plain/quote"back\slash'
printf 'w' > 'plain/商店 <&>'; ln -s $'\xffbytes' plain/odd-target
touch empty; truncate -s 5M sparse; printf tail >> sparse
head -c 3000000 /dev/urandom > random; seq 1 200000 > numbers
setfattr -n user.note -v 'kept' plain/one; setfacl -m u:1234:r-- numbers
chmod 4711 plain/one; chmod 1777 'with blank'; chmod 000 empty; chown 1234:4321 numbers
mkfifo fifo; touch -d '2001-02-03 04:05:06.789012345 UTC' random
touch -h -d '1999-09-09 09:09:09.123456789 UTC' plain/soft
for n in $(seq 1 300); do echo "$n" > "deep/a/$n"; done
touch -d '2010-10-10 10:10:10.5 UTC' deep/a/b
"#;
    must(Command::new("bash").args(["-c", script, "odd"]).arg(folder));
}

#[test]
fn both_restics_and_rustic_check_our_repository_and_restore_what_we_restore() {
    let bench = Bench::new();
    odd_tree(&bench.path("data/files"));
    bench.backup();
    fs::write(bench.path("data/files/second"), "second run").unwrap();
    bench.backup();
    bench.run(&["restore", "shop", "--to", "ours", "--json"]).exits(0);
    let ours = inventory(&bench.path("ours"));
    assert!(ours.contains("second"), "{ours}");

    for program in [old_restic(), new_restic()] {
        must(bench.restic(&program).args(["check", "--read-data"]));
        let target = bench.path(program.file_name().unwrap().to_str().unwrap());
        must(bench.restic(&program).args(["restore", "latest", "--target"]).arg(&target));
        same(&ours, &inventory(&target));
    }
    let target = bench.path("rustic");
    must(bench.rustic(&rustic()).args(["check", "--read-data"]));
    must(bench.rustic(&rustic()).args(["restore", "latest"]).arg(&target));
    assert_eq!(
        bench::contents(&bench.path("ours")),
        bench::contents(&target),
        "rustic restored other bytes"
    );
}

#[test]
fn we_list_verify_restore_and_drill_what_others_made() {
    type Make = fn(&Bench, &Path);
    let makers: [(&str, Make); 5] = [
        ("restic 0.14", |bench, tree| {
            must(bench.restic(&old_restic()).arg("init"));
            must(bench.restic(&old_restic()).arg("backup").arg(tree));
        }),
        ("restic 0.14 format 1", |bench, tree| {
            must(bench.restic(&old_restic()).args(["init", "--repository-version", "1"]));
            must(bench.restic(&old_restic()).arg("backup").arg(tree));
        }),
        ("restic 0.19", |bench, tree| {
            must(bench.restic(&new_restic()).arg("init"));
            must(bench.restic(&new_restic()).arg("backup").arg(tree));
        }),
        ("restic 0.19 uncompressed", |bench, tree| {
            must(bench.restic(&new_restic()).arg("init"));
            must(bench.restic(&new_restic()).args(["backup", "--compression", "off"]).arg(tree));
        }),
        ("rustic", |bench, tree| {
            must(bench.rustic(&rustic()).arg("init"));
            must(bench.rustic(&rustic()).arg("backup").arg(tree));
        }),
    ];
    for (name, make) in makers {
        let bench = Bench::new();
        let tree = bench.path("tree");
        fs::create_dir(&tree).unwrap();
        odd_tree(&tree);
        fs::create_dir_all(bench.repository().parent().unwrap()).unwrap();
        make(&bench, &tree);

        let listed = bench.run(&["snapshots", "--json"]).exits(0).json();
        let snapshot = listed[0]["id"].as_str().unwrap_or_else(|| panic!("{name}: {listed:#}"));
        let verified = bench.run(&["verify", "shop", "--read-data", "--json"]).exits(0).json();
        assert_eq!(verified["errors"], serde_json::json!([]), "{name}");
        bench.run(&["restore", "shop", "--snapshot", snapshot, "--to", "ours", "--json"]).exits(0);
        let restored = bench.path("ours").join(tree.strip_prefix("/").unwrap());
        same(&inventory(&tree), &inventory(&restored));
    }
}

#[test]
fn a_repository_of_ten_thousand_files_by_restic_restores_whole() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    let script = "mkdir -p \"$1\" && cd \"$1\" && for d in $(seq 1 100); do mkdir $d; \
                  for f in $(seq 1 100); do echo $d $f > $d/$f; done; done";
    must(Command::new("bash").args(["-c", script, "many"]).arg(&tree));
    fs::create_dir_all(bench.repository().parent().unwrap()).unwrap();
    must(bench.restic(&new_restic()).arg("init"));
    must(bench.restic(&new_restic()).arg("backup").arg(&tree));

    let restored =
        bench.run(&["restore", "shop", "--snapshot", "latest", "--to", "ours", "--json"]).exits(0);

    assert_eq!(restored.json()["files"], 10_000);
    same(&inventory(&tree), &inventory(&bench.path("ours").join(tree.strip_prefix("/").unwrap())));
}

#[track_caller]
fn same(expected: &str, found: &str) {
    if expected == found {
        return;
    }
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let lost: Vec<_> = expected.iter().filter(|line| !found.contains(line)).take(20).collect();
    let added: Vec<_> = found.iter().filter(|line| !expected.contains(line)).take(20).collect();
    panic!("lost: {lost:#?}\nadded: {added:#?}");
}
