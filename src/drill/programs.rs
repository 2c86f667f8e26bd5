//! The owner's programs on recovered data: checks that only they know how to make.
//!
//! In: a program, the sources that are up. Out: what became of the check. Each runs in a cage of its own,
//! in which every source is seen, read-only: servers by their sockets, files as folders. The contract is
//! docs/command.md, "Checks by programs". Blocking.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::up::Up;
use crate::check::{Id, Judged, Outcome, Why};
use crate::ground::ids::Name;
use crate::sandbox::{self, Bounds, Cage, Ending, Finished, Out, Program, Scratch};
use crate::source::{Access, Trouble};

/// The exit status by which a program says that something else than the data is at fault
/// (`EX_TEMPFAIL` of sysexits.h).
const NOT_THE_DATA: i32 = 75;

/// What shells and env(1) exit with where a program cannot be run.
const NOT_RUN: [i32; 2] = [126, 127];

/// What the last line of a program that found everything right says before a number.
const COMPARED: &str = "compared ";

const PROCESSES: u32 = 200;
const LEAST_MEMORY_BYTES: u64 = 2 << 30;
const FILE_BYTES: u64 = 1 << 34;

/// Why a program was not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is no program that can be run", program.display())]
    NoProgram { program: PathBuf },
    #[error("the recovered data cannot be shown to programs: {how}")]
    NotShown { how: String },
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
}

/// What became of the check `id`, which runs `argv` on all sources, and how that was confined.
pub(super) fn ask(
    id: &Id,
    argv: &[String],
    limit: Duration,
    up: &mut [Up],
    scratch: &Scratch,
) -> (Judged, Option<String>) {
    let (cage, program) = match room(argv, limit, up, scratch) {
        Ok(ready) => ready,
        Err(trouble) => return (Outcome::of_trouble(id, &trouble).into(), None),
    };
    let outcome = match cage.run(&program, Out::Kept, limit).map_err(environment) {
        Ok(finished) => judged(id, &finished),
        Err(trouble) => Outcome::of_trouble(id, &trouble),
    };
    (outcome.into(), Some(format!("{id}: {}", cage.confinement())))
}

/// The cage, and the program as it is to be run there.
fn room(
    argv: &[String],
    limit: Duration,
    up: &mut [Up],
    scratch: &Scratch,
) -> Result<(Cage, Program), Trouble> {
    let (name, arguments) = argv.split_first().expect("the policy refused empty ones");
    can_be_run(Path::new(name)).map_err(environment)?;
    let room = scratch.dir().join(format!("check-{}", uuid::Uuid::new_v4()));
    let made = DirBuilder::new().mode(0o700).create(&room);
    made.map_err(|source| environment(Error::Io { action: "create", path: room.clone(), source }))?;
    scratch.hand_over(&room).map_err(environment)?;
    let is_system = Path::new(name).starts_with("/usr") && !name.starts_with("/usr/local");
    let seen: Vec<PathBuf> = (!is_system).then(|| name.into()).into_iter().collect();
    let cage = Cage::raise(scratch, &room, &seen, bounds(limit));
    let mut cage = cage.map_err(environment)?;
    let mut program =
        Program::new(name).args(arguments).env("LIFEBOAT_FOLDER", &room).within(&room);
    for up in up {
        if let Some(access) = up.recovered.access(scratch)? {
            program = told(program, &up.name, &access, &mut cage);
        }
    }
    is_shown(&cage)?;
    Ok((cage, program))
}

/// Tells the program of one source, and shows it that.
fn told(mut program: Program, source: &Name, access: &Access, cage: &mut Cage) -> Program {
    let variable = |what: &str| {
        let source = source.as_str().replace('-', "_").to_ascii_uppercase();
        format!("LIFEBOAT_{source}_{what}")
    };
    let inside = cage.show(&access.folder, source.as_str());
    for (what, path) in &access.paths {
        let is_itself = path.as_os_str().is_empty();
        let path = if is_itself { inside.clone() } else { inside.join(path) };
        program = program.env(variable(what), path);
    }
    for (what, word) in &access.words {
        program = program.env(variable(what), word);
    }
    program
}

/// A cage that cannot be entered must not look like a program that found something wrong.
fn is_shown(cage: &Cage) -> Result<(), Trouble> {
    let entered = cage.run(&Program::new("/usr/bin/true"), Out::Dropped, Duration::MAX);
    match entered.map_err(environment)? {
        Finished { ending: Ending::Exited(0), .. } => Ok(()),
        Finished { ending, stderr, .. } => {
            Err(environment(Error::NotShown { how: format!("{ending}: {stderr}") }))
        }
    }
}

fn can_be_run(program: &Path) -> Result<(), Error> {
    let found = fs::metadata(program);
    let path = || program.to_owned();
    let found = found.map_err(|source| Error::Io { action: "look at", path: path(), source })?;
    match found.is_file() && found.permissions().mode() & 0o111 != 0 {
        true => Ok(()),
        false => Err(Error::NoProgram { program: path() }),
    }
}

fn bounds(limit: Duration) -> Bounds {
    Bounds {
        memory_bytes: Bounds::most_memory(LEAST_MEMORY_BYTES),
        processes: PROCESSES,
        file_bytes: FILE_BYTES,
        wall: limit,
    }
}

/// What a program's end says. Its last line is the owner's own word for the record; what it complains
/// of is not told, for that may quote the data.
fn judged(id: &Id, finished: &Finished) -> Outcome {
    let printed = String::from_utf8_lossy(&finished.stdout);
    let last = printed.lines().rev().map(str::trim).find(|line| !line.is_empty());
    let said = || last.map_or_else(|| format!("it ended with {}", finished.ending), str::to_owned);
    match finished.ending {
        Ending::Exited(0) => {
            let compared = last.and_then(|line| line.strip_prefix(COMPARED)?.parse().ok());
            match compared {
                Some(compared) => Outcome::of(compared, []),
                None => {
                    let what = "it exited well and its last line does not say how much it compared \
                                (`compared NUMBER`)";
                    Outcome::not_run(Why::NothingToCompare, what)
                }
            }
        }
        Ending::Exited(NOT_THE_DATA) => Outcome::not_run(Why::Environment, said()),
        Ending::Exited(status) if NOT_RUN.contains(&status) => {
            let what =
                format!("it, or a program that it needs, cannot be run (exit status {status})");
            Outcome::not_run(Why::Environment, what)
        }
        Ending::Exited(_) => Outcome::broke(id.to_string(), said()),
        Ending::TooLate(_) => Outcome::not_run(Why::TimedOut, finished.ending.to_string()),
        ending => Outcome::not_run(Why::Killed, ending.to_string()),
    }
}

fn environment(error: impl Into<Error>) -> Trouble {
    match error.into() {
        // The sandbox's own errors tell a time-out from a crash.
        Error::Sandbox(error) => Trouble::Environment(Box::new(error)),
        error => Trouble::Environment(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::NotRun;

    fn ends(ending: Ending, printed: &str) -> Outcome {
        let finished =
            Finished { ending, stdout: printed.as_bytes().to_vec(), stderr: "canary".into() };
        judged(&Id::Check(0, "the shop".into()), &finished)
    }

    #[test]
    fn a_program_holds_only_if_it_exits_well_and_says_how_much_it_compared() {
        let Outcome::Held { compared } = ends(Ending::Exited(0), "looking\ncompared 12\n\n") else {
            panic!("it says so")
        };
        assert_eq!(compared.get(), 12);
        for printed in
            ["", "compared", "compared 0", "compared many", "compared -1", "compared 1\nok"]
        {
            let outcome = ends(Ending::Exited(0), printed);
            let Outcome::NotRun(NotRun { why: Why::NothingToCompare, .. }) = outcome else {
                panic!("{printed:?}: {outcome:?}")
            };
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_the_last_line_and_never_what_was_complained_of() {
        let Outcome::Broke(broken) =
            ends(Ending::Exited(1), "compared 5\n3 orders without lines\n")
        else {
            panic!("it says that the data is wrong")
        };
        assert_eq!(broken.to_string(), "check \"the shop\": 3 orders without lines");
        let Outcome::Broke(broken) = ends(Ending::Exited(2), "") else { panic!() };
        assert_eq!(broken.to_string(), "check \"the shop\": it ended with exit status 2");
    }

    #[test]
    fn what_is_not_the_datas_fault_is_unknown_whatever_was_printed() {
        let minute = Duration::from_secs(60);
        for (ending, why) in [
            (Ending::Exited(75), Why::Environment),
            (Ending::Exited(126), Why::Environment),
            (Ending::Exited(127), Why::Environment),
            (Ending::TooLate(minute), Why::TimedOut),
            (Ending::Signalled(9), Why::Killed),
            (Ending::TooMuchOutput, Why::Killed),
            (Ending::TooMuchMemory { bytes: 1 }, Why::Killed),
        ] {
            let outcome = ends(ending, "compared 12\n");
            let Outcome::NotRun(not_run) = outcome else { panic!("{ending}: {outcome:?}") };
            assert_eq!(not_run.why, why, "{ending}");
        }
    }
}
