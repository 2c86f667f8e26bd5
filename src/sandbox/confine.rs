//! The child's side: giving up everything, then serving one role.
//!
//! In: this program's arguments, an [`Order`]; the scratch's folder as working folder. Out: a
//! process without other files, network, privileges or descendants.
//!
//! Linux keeps most of this per thread, so it must happen before the process has a second one.

use std::io::{self, BufRead, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags,
};
use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid, UnshareFlags};

use super::account::Account;
use super::protocol::{Confinement, Greeting, Limits, Order, ROLE_ARGUMENT};
use crate::ground::causes::chain;

/// What a confined child does: reads requests, one line each, and answers each with one line,
/// until the input ends.
///
/// Its files are named relative to its working folder, the scratch's [`super::Scratch::dir`];
/// absolute paths of the parent mean nothing to it. It may start neither threads nor processes.
pub type Serve = fn(&mut dyn BufRead, &mut dyn Write) -> io::Result<()>;

/// Serves a role where this program was started as a confined child; `None` where it was not.
///
/// To be called first in `main`, before any thread exists.
pub fn role_requested(roles: &[(&str, Serve)]) -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ROLE_ARGUMENT {
        return None;
    }
    let role = arguments.next().unwrap_or_default();
    let serve = roles.iter().find(|(name, _)| role == *name).map(|(_, serve)| *serve);
    let order = arguments.next().and_then(|order| order.into_string().ok());
    Some(match serve {
        None => refuse("it does not know the role it was started for"),
        Some(serve) => match order.and_then(|order| serde_json::from_str(&order).ok()) {
            None => refuse("its order cannot be read"),
            Some(order) => enter(serve, &order),
        },
    })
}

fn enter(serve: Serve, order: &Order) -> ExitCode {
    let confinement = match confine(order) {
        Ok(confinement) => confinement,
        Err(refusal) => return refuse(&chain(&refusal)),
    };
    let served = greet(&Greeting::Confined(confinement))
        .and_then(|()| serve(&mut io::stdin().lock(), &mut io::stdout().lock()));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The parent keeps what stands here for its own error.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn refuse(reason: &str) -> ExitCode {
    // A parent that has gone away needs no answer.
    let _ = greet(&Greeting::Refused(reason.to_owned()));
    ExitCode::FAILURE
}

fn greet(greeting: &Greeting) -> io::Result<()> {
    let mut line = serde_json::to_vec(greeting)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}

/// Why the child could not confine itself.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("cannot {step}")]
    Step { step: &'static str, source: io::Error },
    #[error("it has more than one thread already")]
    Threads,
    #[error("its parent is gone")]
    Orphan,
    #[error("it could take root's rights back")]
    Regained,
    #[error("{0}")]
    Lacks(&'static str),
}

fn step(step: &'static str) -> impl Fn(Errno) -> Refusal {
    move |errno| Refusal::Step { step, source: errno.into() }
}

fn confine(order: &Order) -> Result<Confinement, Refusal> {
    die_with(order.parent)?;
    close_inherited()?;
    let tasks = std::fs::read_dir("/proc/self/task").map(Iterator::count);
    if tasks.map_err(|source| Refusal::Step { step: "count its threads", source })? != 1 {
        return Err(Refusal::Threads);
    }
    // Refused only to the leader of a group, which has no other terminal to leave either.
    let _ = rustix::process::setsid();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let scratch =
        rustix::fs::open(".", flags, Mode::empty()).map_err(step("open its working folder"))?;
    let own_network = leave_network(order.account.is_none());
    let own_root = rustix::process::chroot(".").is_ok();
    if own_root {
        rustix::process::chdir("/").map_err(step("enter its root folder"))?;
    }
    if let Some(account) = order.account {
        become_user(account)?;
    }
    drop_capabilities()?;
    rustix::thread::set_no_new_privs(true).map_err(step("renounce new privileges"))?;
    let landlock_abi = lock_land(scratch)?;
    limit(&order.limits)?;
    // The kernel forgets it when credentials change.
    die_with(order.parent)?;
    let confinement = Confinement {
        uid: rustix::process::geteuid().as_raw(),
        own_network,
        own_root,
        landlock_abi,
        memory_bytes: order.limits.memory_bytes,
    };
    match confinement.lacks() {
        Some(lack) => Err(Refusal::Lacks(lack)),
        None => Ok(confinement),
    }
}

/// Ends this process when its parent ends, also when that has happened already.
fn die_with(parent: u32) -> Result<(), Refusal> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(step("ask to die with its parent"))?;
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now == Some(parent) { Ok(()) } else { Err(Refusal::Orphan) }
}

/// Closes what the parent's parents may have left open: nothing but the three streams is ours.
fn close_inherited() -> Result<(), Refusal> {
    let failed = step("list its open files");
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open("/proc/self/fd", flags, Mode::empty()).map_err(&failed)?;
    let mut inherited = Vec::new();
    for entry in Dir::read_from(&folder).map_err(&failed)? {
        let entry = entry.map_err(&failed)?;
        let number = entry.file_name().to_str().ok().and_then(|name| name.parse::<i32>().ok());
        inherited.extend(number.filter(|number| *number > 2 && *number != folder.as_raw_fd()));
    }
    for number in inherited {
        // It may be that of the stream that listed it, which is closed by now.
        // SAFETY: this runs first in `main`; no value of this program but `folder`, which is left
        // out, owns a descriptor above 2.
        if unsafe { rustix::io::fcntl_getfd(BorrowedFd::borrow_raw(number)) }.is_ok() {
            unsafe { rustix::io::close(number) };
        }
    }
    Ok(())
}

/// A network namespace of its own, for an ordinary user inside a user namespace of its own (which
/// also allows chroot). Whether it was to be had.
fn leave_network(is_ordinary: bool) -> bool {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let mut flags = UnshareFlags::NEWNET | UnshareFlags::NEWIPC;
    if is_ordinary {
        flags |= UnshareFlags::NEWUSER;
    }
    // SAFETY: the process has one thread, and its table of open files is not unshared.
    if unsafe { rustix::thread::unshare_unsafe(flags) }.is_err() {
        return false;
    }
    if is_ordinary {
        // Without a map the process would have no user of its own; files would still be its own.
        let map = |path: &str, text: String| std::fs::write(path, text).is_ok();
        let (user, group) = (user.as_raw(), group.as_raw());
        return map("/proc/self/setgroups", "deny".into())
            && map("/proc/self/uid_map", format!("{user} {user} 1"))
            && map("/proc/self/gid_map", format!("{group} {group} 1"));
    }
    true
}

fn become_user(account: Account) -> Result<(), Refusal> {
    let (user, group) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    rustix::thread::set_thread_groups(&[]).map_err(step("leave its groups"))?;
    rustix::thread::set_thread_res_gid(group, group, group).map_err(step("change its group"))?;
    rustix::thread::set_thread_res_uid(user, user, user).map_err(step("change its user"))?;
    let root_again = rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT);
    if root_again.is_ok() { Err(Refusal::Regained) } else { Ok(()) }
}

/// Changing the user has cleared them for root; a user namespace gave all of its own.
fn drop_capabilities() -> Result<(), Refusal> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).map_err(step("give up its capabilities"))?;
    let left = rustix::thread::capabilities(None).map_err(step("read its capabilities"))?;
    if left == sets { Ok(()) } else { Err(Refusal::Regained) }
}

/// Landlock: files below `scratch` and nothing else, no TCP, no signals to others. Answers the
/// ABI in force, 0 for a kernel without.
fn lock_land(scratch: OwnedFd) -> Result<i32, Refusal> {
    let inside: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
        ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir
    });
    let locked = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V7))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V7)))
        .and_then(|rules| rules.scope(Scope::from_all(ABI::V7)))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.add_rule(PathBeneath::new(scratch.as_fd(), inside)))
        .and_then(|rules| rules.restrict_self())
        .map_err(|error| Refusal::Step {
            step: "lock itself in",
            source: io::Error::other(error),
        })?;
    Ok(match (locked.ruleset, locked.landlock) {
        (RulesetStatus::NotEnforced, _) => 0,
        (_, LandlockStatus::Available { effective_abi, .. }) => effective_abi as i32,
        _ => 0,
    })
}

fn limit(limits: &Limits) -> Result<(), Refusal> {
    let bounds = [
        (Resource::As, limits.memory_bytes),
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::Fsize, limits.file_bytes),
        (Resource::Nofile, 64),
        // Counted per user over the whole host: only none at all means the same everywhere.
        (Resource::Nproc, 0),
        (Resource::Core, 0),
    ];
    for (resource, bound) in bounds {
        // Only root may raise what is lower already.
        let bound =
            rustix::process::getrlimit(resource).maximum.map_or(bound, |max| max.min(bound));
        let bound = Rlimit { current: Some(bound), maximum: Some(bound) };
        rustix::process::setrlimit(resource, bound).map_err(step("limit itself"))?;
    }
    Ok(())
}
