//! `files_in`: every value of a query's answer names a file that came back.

use std::path::Path;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::source::{Cell, Place, Rows};

use super::Outcome;
use super::folder::Folder;

/// Whether each value in `answer` names a regular file below `root`; blocking.
///
/// Values are relative to `root`. NULL and numbers name none. One that leaves `root`, by `..`, as
/// an absolute path or through a symbolic link, is missing: it is not there that it came back.
pub fn files_in(answer: &Rows, root: &Path) -> Outcome {
    let folder = match Folder::open(root) {
        Ok(folder) => folder,
        Err(outcome) => return outcome,
    };
    let mut places = Vec::new();
    for (number, row) in answer.rows.iter().enumerate() {
        let missing = |what| Place { object: format!("row {}", number + 1), what };
        let bytes = match &row[..] {
            [Cell::Text(text)] => text.as_bytes(),
            [Cell::Blob(bytes)] => &bytes[..],
            [_] => {
                places.push(missing("holds no file name".to_owned()));
                continue;
            }
            _ => {
                let what = format!("expected one value a row, found {}", row.len());
                return Outcome::broke("the query's answer", what);
            }
        };
        let what = match folder.look(bytes) {
            Ok(FileType::RegularFile) => continue,
            Ok(_) => "is no regular file",
            Err(Errno::XDEV) => "lies outside the folder",
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL) => {
                "is missing"
            }
            // What is missing so far is known, whatever became of the rest.
            Err(error) if places.is_empty() => return Folder::unknown(error),
            Err(_) => break,
        };
        let object = format!("file {}", String::from_utf8_lossy(bytes));
        places.push(Place { object, what: what.to_owned() });
    }
    Outcome::of(answer.rows.len() as u64, places)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::{NotRun, Why};
    use super::*;

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("uploads");
        std::fs::create_dir_all(root.join("img")).unwrap();
        std::fs::write(root.join("img/a.jpg"), "a").unwrap();
        std::fs::write(root.join("img/ü b.jpg"), "b").unwrap();
        std::fs::write(folder.path().join("secret"), "s").unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink("img/a.jpg", root.join("in")).unwrap();
        symlink(folder.path(), root.join("up")).unwrap();
        folder
    }

    fn ends(values: Vec<Cell>) -> Outcome {
        let folder = tree();
        let rows = values.into_iter().map(|value| vec![value]).collect();
        files_in(&Rows { columns: vec!["picture".into()], rows }, &folder.path().join("uploads"))
    }

    fn text(value: &str) -> Cell {
        Cell::Text(value.to_owned())
    }

    #[test]
    fn files_that_came_back_hold() {
        let outcome =
            ends(vec![text("img/a.jpg"), text("img/ü b.jpg"), text("in"), text("./img/../in")]);

        let Outcome::Held { compared } = outcome else { panic!("{outcome:?}") };
        assert_eq!(compared.get(), 4);
    }

    #[test]
    fn what_is_missing_or_outside_or_no_file_is_named() {
        let bad = [
            "img/c.jpg",
            "img",
            "",
            "../secret",
            "/etc/passwd",
            "out",
            "up/secret",
            "img/a.jpg/x",
            "img/a.jpg\0",
            "img/../../secret",
        ];
        for value in bad {
            let Outcome::Broke(broken) = ends(vec![text("img/a.jpg"), text(value)]) else {
                panic!("{value:?} was found")
            };
            assert_eq!(broken.total().get(), 1, "{value:?}: {broken}");
            assert!(broken.places()[0].object.starts_with("file "), "{broken}");
        }
    }

    #[test]
    fn values_that_name_nothing_break_and_no_value_at_all_is_nothing_to_compare() {
        assert!(matches!(ends(vec![text("in"), Cell::Null]), Outcome::Broke(_)));
        assert!(matches!(ends(vec![Cell::Integer(3)]), Outcome::Broke(_)));
        assert!(matches!(ends(vec![]), Outcome::NotRun(NotRun { why: Why::NothingToCompare, .. })));
    }

    #[test]
    fn a_folder_that_did_not_come_back_breaks() {
        let folder = tree();
        let answer = Rows { columns: vec![], rows: vec![vec![text("in")]] };

        assert!(matches!(files_in(&answer, &folder.path().join("none")), Outcome::Broke(_)));
    }
}
