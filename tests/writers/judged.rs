//! What must be true of all that was done, and of what is left.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::bench::{contents, files_below, must};
use crate::world::{Deed, World, Writer};

/// How an act may end that nobody killed: well; because others hold the repository, or its lease;
/// a prune also because one from another host, or restic's, came before it.
fn may_end_so(deed: &Deed) -> bool {
    let told = |what: &str| deed.ran.stderr.contains(what) || deed.ran.stdout.contains(what);
    match (deed.act, deed.ran.code) {
        (_, 0) => true,
        (_, 137) => deed.was_killed(),
        // Or the newest is of a backup that was killed before it could write down that it published.
        ("drill", 5) => {
            told("locked the repository") || told("died right after that, back up again")
        }
        ("drill", _) => false,
        (_, 11) => told("locked") || told("running already"),
        ("prune", 1) => told("another prune removed index"),
        _ => false,
    }
}

impl World {
    /// Whoever was not killed ended as the documents say, and each act came to its end.
    pub fn all_ended_well(&self) {
        let deeds = self.deeds.lock().unwrap();
        let mut ends: BTreeMap<_, usize> = BTreeMap::new();
        for deed in deeds.iter() {
            *ends.entry((deed.act, deed.ran.code)).or_default() += 1;
        }
        println!("{ends:?}");
        let mut hit: BTreeMap<_, usize> = BTreeMap::new();
        deeds.iter().filter_map(Deed::killed_in).for_each(|one| *hit.entry(one).or_default() += 1);
        println!("killed in {hit:?}");
        for deed in deeds.iter() {
            let Deed { act, ran, .. } = deed;
            let told = format!("{act} ended with {}: {}{}", ran.code, ran.stdout, ran.stderr);
            assert!(may_end_so(deed), "{told}");
        }
        drop(deeds);
        assert!(self.has_shown_enough(), "some act never came to its end, or was never killed");
    }

    /// What is left is whole for everybody, and holds what was put there.
    pub fn stands(&self) {
        must(&mut self.restic(&["unlock"]));
        for writer in &self.writers {
            let forget = ["forget", "--allow-many"];
            for act in [&["backup"][..], &forget, &["prune"], &["drill"]] {
                must(&mut self.lifeboat(&writer.site, &[act, &[writer.policy]].concat()));
            }
        }
        must(&mut self.restic(&["check", "--read-data"]));
        must(&mut self.restic(&["forget", "--host=stranger", "--keep-last=1", "--prune"]));
        for Writer { site, policy, .. } in &self.writers {
            must(&mut self.lifeboat(site, &["verify", policy, "--read-data"]));
            must(&mut self.lifeboat(site, &["ledger", "verify", policy]));
        }
        let Writer { site, policy, .. } = &self.writers[0];
        let listed = must(&mut self.lifeboat(site, &["snapshots", "--json"]));
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let (taken, held) = (self.taken.lock().unwrap(), self.held.lock().unwrap());
        let back = self.bench.path("back");
        for snapshot in listed.as_array().unwrap() {
            let id = snapshot["id"].as_str().unwrap();
            let to = back.display().to_string();
            must(&mut self.lifeboat(site, &["restore", policy, "--snapshot", id, "--to", &to]));
            let folder = files_below(&back).into_iter().find(|file| file.ends_with("changing"));
            let restored = contents(folder.unwrap().parent().unwrap());
            assert!(held.contains(&restored), "{snapshot} holds what no source held");
            assert!(taken.get(id).is_none_or(|taken| *taken == restored), "{snapshot}");
            std::fs::remove_dir_all(&back).unwrap();
        }
        for folder in ["scratch", "second/scratch"] {
            assert_eq!(self.bench.files(folder), Vec::<PathBuf>::new());
        }
    }
}
