//! Checks of restored files: what was wrong before the capture equals it, and must be found all the same.

use std::fs;
use std::path::PathBuf;

use lifeboat::ground::digest::Digest;

use crate::bench::{Bench, files_below};
use crate::check;

/// A bench with a picture of each format in `img/`, and these checks of files: a name, the patterns
/// and what is expected.
fn with(checks: &[(&str, &str, &str)]) -> Bench {
    let bench = Bench::new();
    let samples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/check/pictures/samples");
    fs::create_dir(bench.path("data/files/img")).unwrap();
    for sample in fs::read_dir(samples).unwrap() {
        let sample = sample.unwrap();
        let name = sample.file_name().into_string().unwrap();
        fs::copy(sample.path(), bench.path("data/files/img").join(name)).unwrap();
    }
    let declared = checks.iter().map(|(name, files, expect)| {
        format!(
            "[[check]]\nname = \"{name}\"\nsource = \"uploads\"\nfiles = {files}\nexpect = \"{expect}\"\n"
        )
    });
    bench.check(&declared.collect::<String>());
    bench
}

const PICTURES: (&str, &str, &str) = ("pictures", "[\"img/\"]", "pictures");

#[test]
fn pictures_digests_and_counts_hold_on_an_honest_copy_and_the_report_tells_of_them() {
    let large = Digest::of(&fs::read(Bench::new().path("data/files/large.bin")).unwrap());
    let bench = with(&[
        PICTURES,
        ("many", "[\"*.jpg\", \"!/img/\"]", ">= 12 files"),
        ("the very one", "[\"/large.bin\"]", &format!("sha256 {large}")),
        ("no programs", "[\"*.php\"]", "empty"),
    ]);
    bench.backup();

    let (code, drill) = bench.drill();

    assert_eq!((code, &drill["verdict"]), (0, &"pass".into()), "{drill:#}");
    let told = |name: &str, key: &str| check(&drill, name)[key].clone();
    assert_eq!(
        (told("pictures", "compared"), told("pictures", "unit")),
        (13.into(), "files".into())
    );
    assert_eq!(told("pictures", "expected"), "img/: pictures");
    assert_eq!(told("many", "found"), "12 files");
    assert_eq!(told("the very one", "compared"), 1);
    for (lang, words) in [("zh", "13 个文件"), ("en", "13 files")] {
        let page = bench.run(&["report", "drill", "shop", "--lang", lang]).exits(0).stdout;
        for words in [words, "img/: pictures", "12 files"] {
            assert!(page.contains(words), "{words} is not in the report");
        }
    }
}

#[test]
fn a_picture_that_was_cut_or_replaced_before_the_capture_is_named_though_everything_equals_it() {
    let bench = with(&[PICTURES]);
    let cut = fs::read(bench.path("data/files/img/progressive.jpg")).unwrap();
    fs::write(bench.path("data/files/img/progressive.jpg"), &cut[..cut.len() - 40]).unwrap();
    fs::write(bench.path("data/files/img/plain.png"), "<html>404</html>").unwrap();
    fs::write(bench.path("data/files/img/plain.gif"), "").unwrap();
    bench.backup();

    let (code, drill) = bench.drill();

    assert_eq!((code, &drill["verdict"]), (4, &"fail".into()), "{drill:#}");
    assert_eq!(check(&drill, "equality of uploads")["outcome"], "held", "{drill:#}");
    let check = check(&drill, "pictures");
    assert_eq!((&check["compared"], &check["places_total"]), (&13.into(), &3.into()), "{check:#}");
    for (name, what) in [
        ("img/progressive.jpg", "no whole JPEG"),
        ("img/plain.png", "no PNG, JPEG, GIF or WebP"),
        ("img/plain.gif", "is empty"),
    ] {
        let places = check["places"].as_array().unwrap();
        let place = places.iter().find(|place| place["object"] == format!("file {name}"));
        assert!(place.unwrap()["what"].as_str().unwrap().contains(what), "{check:#}");
    }
}

#[test]
fn a_picture_that_would_fill_the_memory_is_named_and_leaves_the_drill_inconclusive() {
    let bench = with(&[PICTURES]);
    let mut bomb = fs::read(bench.path("data/files/img/gray.jpg")).unwrap();
    let frame = bomb.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    bomb[frame + 5..frame + 9].fill(0xff);
    fs::write(bench.path("data/files/img/gray.jpg"), bomb).unwrap();
    bench.backup();

    let (code, drill) = bench.drill();

    assert_eq!((code, &drill["verdict"]), (5, &"inconclusive".into()), "{drill:#}");
    let reason = check(&drill, "pictures")["reason"].as_str().unwrap();
    assert!(reason.starts_with("file img/gray.jpg has 65535 × 65535 pixels"), "{reason}");
}

#[test]
fn files_that_are_gone_changed_or_too_many_fail_and_patterns_that_match_nothing_never_pass() {
    let bench = with(&[
        ("gone", "[\"/logo.png\"]", "not empty"),
        ("few", "[\"*.jpg\"]", ">= 100 files"),
        ("changed", "[\"/p1.jpg\"]", &format!("sha256 {}", Digest::of(b"as it was"))),
        ("programs", "[\"*.php\"]", "empty"),
        ("none", "[\"*.tiff\"]", "pictures"),
        ("unknown", "[\"*.tiff\"]", "<= 5 files"),
    ]);
    bench.write("data/files/img/upload.php", "<?php".to_owned());
    bench.backup();

    let (code, drill) = bench.drill();

    assert_eq!(code, 4, "{drill:#}");
    for (name, place) in [
        ("gone", "files /logo.png"),
        ("few", "files *.jpg"),
        ("changed", "file p1.jpg"),
        ("programs", "file img/upload.php"),
        ("none", "files *.tiff"),
    ] {
        let check = check(&drill, name);
        assert_eq!(
            (&check["outcome"], &check["places"][0]["object"]),
            (&"broke".into(), &place.into())
        );
    }
    assert_eq!(check(&drill, "unknown")["outcome"], "not-run", "{drill:#}");
    assert_eq!(files_below(&bench.path("scratch")), Vec::<PathBuf>::new());
}

#[test]
fn a_check_of_files_that_has_no_time_is_never_a_pass() {
    let bench = with(&[]);
    bench.check(
        "[[check]]\nname = \"pictures\"\nsource = \"uploads\"\nfiles = [\"img/\"]\nexpect = \"pictures\"\n\
         deadline = \"1ms\"\n",
    );
    bench.backup();

    let (code, drill) = bench.drill();

    assert_eq!((code, &drill["verdict"]), (5, &"inconclusive".into()), "{drill:#}");
    let reason = check(&drill, "pictures")["reason"].to_string();
    assert!(reason.contains("longer than") || reason.contains("killed after"), "{reason}");
}
