//! The nth write, sync, rename and removal of an act fails, fails from then on, or kills it: strace
//! puts the fault in place of the call. It counts the calls of each thread; what is killed right after
//! a call is killed by whoever reads what strace shows, and that counts those of all threads.
//!
//! With `LIFEBOAT_ROUNDS=all` each of them is tried once.

use std::collections::BTreeMap;

use crate::bench::Ran;
use crate::dice::{Dice, is_whole, rounds};
use crate::site::{Act, Site};

/// Calls that do the same, and how they fail on a bad disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Calls {
    names: &'static str,
    error: &'static str,
}

const CALLS: [Calls; 4] = [
    Calls { names: "write,writev,pwrite64,pwritev,pwritev2", error: "ENOSPC" },
    Calls { names: "fsync,fdatasync", error: "EIO" },
    Calls { names: "rename,renameat,renameat2", error: "EIO" },
    Calls { names: "unlink,unlinkat", error: "EIO" },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Once,
    FromThenOn,
    Kill,
    KillAfter,
}

const HARMS: [Harm; 4] = [Harm::Once, Harm::FromThenOn, Harm::Kill, Harm::KillAfter];

impl Harm {
    fn kills(self) -> bool {
        matches!(self, Self::Kill | Self::KillAfter)
    }
}

/// The `nth` call from one: of each thread, and for [`Harm::KillAfter`] of all of them.
#[derive(Debug, Clone, Copy)]
struct Fault {
    calls: Calls,
    harm: Harm,
    nth: u64,
}

impl Fault {
    fn expression(&self) -> String {
        let Self { calls: Calls { names, error }, harm, nth } = self;
        match harm {
            Harm::Once => format!("inject={names}:error={error}:when={nth}"),
            Harm::FromThenOn => format!("inject={names}:error={error}:when={nth}+"),
            Harm::Kill => format!("inject={names}:signal=KILL:when={nth}"),
            // Time to be killed before the next call.
            Harm::KillAfter => format!("inject={names}:delay_exit=5000"),
        }
    }
}

/// A run under a fault: how it ended, and the calls that were harmed, as strace shows them.
struct Harmed {
    ran: Ran,
    calls: Vec<String>,
}

impl Harmed {
    /// Whether a folder of what snapshots need could not be made durable.
    fn undurable(&self) -> bool {
        let needed = |call: &String| {
            let folders = ["/repo/data", "/repo/index", "/repo/snapshots"];
            call.contains("sync(") && folders.iter().any(|folder| call.contains(folder))
        };
        self.calls.iter().any(needed)
    }
}

fn run_under(site: &Site, act: Act, fault: &Fault) -> Harmed {
    let shown = format!("trace={}", fault.calls.names);
    let expressions = [&*shown, &fault.expression()];
    let (ran, trace) = match fault.harm {
        Harm::KillAfter => site.killed_after(act, &expressions, fault.nth),
        _ => site.traced(act, &expressions),
    };
    let last = || trace.lines().last().unwrap_or_default().to_owned();
    let calls = match fault.harm {
        Harm::Kill | Harm::KillAfter => (ran.code == 137).then(last).into_iter().collect(),
        _ => trace.lines().filter(|line| line.contains("(INJECTED)")).map(str::to_owned).collect(),
    };
    Harmed { ran, calls }
}

/// What may befall an act, by an undisturbed run of it: each kind of fault with the counts to try; each
/// count by itself where all are to be tried.
fn kinds(site: &Site, act: Act) -> Vec<(Calls, Harm, Vec<u64>)> {
    let names = CALLS.map(|calls| calls.names).join(",");
    let (ran, trace) = site.traced(act, &[&format!("trace={names}")]);
    ran.exits(act.ends_with());
    let mut kinds = Vec::new();
    for calls in CALLS {
        let all = counts(site, &trace, calls);
        let made = trace.lines().filter(|line| calls.has(line) && site.is_of(line)).count();
        for harm in HARMS {
            // Writes also wake threads and fill pipes, which no disk makes fail: only counts at which
            // no thread did so. From then on sooner or later some thread does.
            let lasts = calls == CALLS[0] && harm == Harm::FromThenOn;
            let fit = all.iter().filter(|(_, on_disk)| harm == Harm::Kill || **on_disk);
            let counts: Vec<_> = match harm {
                Harm::KillAfter => (1..=made as u64).collect(),
                _ => fit.map(|(nth, _)| *nth).collect(),
            };
            kinds.extend((!lasts && !counts.is_empty()).then_some((calls, harm, counts)));
        }
    }
    if is_whole() {
        // Killed in place of a call, an act has done what it had done after the one before.
        kinds.retain(|(_, harm, _)| *harm != Harm::Kill);
        let one = |(calls, harm, counts): (_, _, Vec<_>)| {
            counts.into_iter().map(move |nth| (calls, harm, vec![nth]))
        };
        kinds = kinds.into_iter().flat_map(one).collect();
    }
    kinds
}

impl Calls {
    /// Whether strace's line shows one of them.
    fn has(&self, line: &str) -> bool {
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        let name = call.split('(').next().unwrap_or_default();
        self.names.split(',').any(|one| one == name)
    }
}

/// All counts up to the last such call of the busiest thread, and whether each was on files of the
/// site in all threads.
fn counts(site: &Site, trace: &str, calls: Calls) -> BTreeMap<u64, bool> {
    let mut made = BTreeMap::<&str, u64>::new();
    let mut counts = BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, _)) = line.split_once(' ') else { continue };
        if calls.has(line) {
            let nth = made.entry(thread).or_default();
            *nth += 1;
            *counts.entry(*nth).or_insert(true) &= site.is_of(line);
        }
    }
    counts
}

/// Faults for `act`: of each kind in turn, at a count by chance; small ones are likelier.
fn suffers(act: Act) {
    let mut dice = Dice::thrown(&format!("calls of {act:?}"));
    let mut site = Site::new(|_| {});
    site.ready(act);
    site.keep();
    let mut kinds = kinds(&site, act);
    site.back_again();
    let rounds = if is_whole() { kinds.len() as u64 } else { rounds(5) };
    let mut fired = 0;
    for round in 0..rounds as usize {
        // Each once, in any order, before any again.
        let left = kinds.len() - round % kinds.len();
        let at = dice.below(left as u64) as usize;
        kinds.swap(at, left - 1);
        let Some((fault, harmed)) = harmed(&mut site, act, &kinds[left - 1], &mut dice) else {
            continue;
        };
        fired += 1;
        let what = format!("{act:?} under {}: {:#?}", fault.expression(), harmed.calls);
        println!("{what}\nexits {}", harmed.ran.code);
        ask(&mut site, act, &fault, &harmed, &what);
        site.back_again();
    }
    println!("{act:?}: {fired} of {rounds} faults fired");
    assert!(2 * fired > rounds, "only {fired} of {rounds} faults fired");
}

/// A run in which a fault of the kind fired, on nothing but files of the site; none where threads share
/// the work so that it does not.
fn harmed(
    site: &mut Site,
    act: Act,
    (calls, harm, counts): &(Calls, Harm, Vec<u64>),
    dice: &mut Dice,
) -> Option<(Fault, Harmed)> {
    let few = if dice.below(2) == 0 { counts.len().min(3) } else { counts.len() };
    let mut at = dice.below(few as u64) as usize;
    for _ in 0..if is_whole() { 5 } else { 20 } {
        let fault = Fault { calls: *calls, harm: *harm, nth: counts[at] };
        let harmed = run_under(site, act, &fault);
        let on_disk = || harmed.calls.iter().all(|call| site.is_of(call));
        if !harmed.calls.is_empty() && (harm.kills() || on_disk()) {
            return Some((fault, harmed));
        }
        // Threads share the work differently each time.
        at = dice.below(at as u64 + 1) as usize;
        site.back_again();
    }
    println!("{harm:?} of {calls:?} {counts:?} does not fire in {act:?} on the site alone");
    None
}

fn ask(site: &mut Site, act: Act, fault: &Fault, harmed: &Harmed, what: &str) {
    let ran = &harmed.ran;
    match ran.code {
        code if code == act.ends_with() => {
            assert!(!harmed.undurable(), "{what}: ended well: {}", ran.stderr);
            site.is_true(act, ran, what);
        }
        137 => assert!(fault.harm.kills(), "{what}"),
        code => {
            let is_documented = code == 1 || code == 5 && act == Act::Drill;
            assert!(is_documented, "{what}: {code}: {}{}", ran.stdout, ran.stderr);
            Site::is_told(ran, what);
        }
    }
    if act.finds_it_whole() {
        site.stands(what);
        site.is_clean();
    }
    site.goes_on(act, what);
    site.stands(what);
    site.is_clean();
}

#[test]
fn a_backup_whose_calls_fail_or_kill_it_loses_nothing() {
    suffers(Act::Backup);
}

#[test]
fn a_forget_whose_calls_fail_or_kill_it_loses_nothing() {
    suffers(Act::Forget);
}

#[test]
fn a_prune_whose_calls_fail_or_kill_it_loses_nothing() {
    suffers(Act::Prune);
}

#[test]
fn a_drill_whose_calls_fail_or_kill_it_tells_no_lie() {
    suffers(Act::Drill);
}

#[test]
fn a_first_backup_whose_calls_fail_or_kill_it_is_begun_again() {
    suffers(Act::First);
}

#[test]
fn a_repair_of_the_index_whose_calls_fail_or_kill_it_loses_nothing() {
    suffers(Act::RepairIndex);
}

#[test]
fn a_repair_of_snapshots_whose_calls_fail_or_kill_it_loses_nothing() {
    suffers(Act::RepairSnapshots);
}
