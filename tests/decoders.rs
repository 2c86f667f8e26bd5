//! Every decoder on the seeds of its fuzzing, and on what fuzzing has found.

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::path::Path;

#[test]
fn decoders_keep_their_promises_on_seeds_and_former_findings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, _) in fuzz::TARGETS {
        assert!(folder.join(format!("fuzz_targets/{name}.rs")).exists(), "{name} is not fuzzed");
        let seeds = fs::read_dir(folder.join("seeds").join(name)).expect(name);
        let mut count = 0;
        for seed in seeds {
            let path = seed.unwrap().path();
            eprintln!("{}", path.display());
            fuzz::check(name, &fs::read(&path).unwrap());
            count += 1;
        }
        assert!(count > 0, "{name} has no seeds");
    }
    let greedy = std::panic::catch_unwind(|| fuzz::bounded(b"few", 64, || vec![0; 13 << 20]));
    assert!(greedy.is_err(), "memory out of proportion is not seen");
    let targets = fs::read_dir(folder.join("fuzz_targets")).unwrap().count();
    assert_eq!(targets, fuzz::TARGETS.len(), "a target is not checked here");
}
