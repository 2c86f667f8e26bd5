//! Files in memory that a program gets as open descriptors: they have no name that anybody could open.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::FdFlags;

/// `bytes` in memory that nobody can change, to be read from their beginning. `name` is for
/// debuggers.
pub(super) fn sealed(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create(name, flags)?);
    file.write_all(bytes)?;
    file.rewind()?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK)?;
    Ok(file.into())
}

/// Lets `command` inherit the descriptor `sealed`, which must be open when it is started.
pub(super) fn pass_on(command: &mut Command, sealed: RawFd) {
    // SAFETY: between fork and exec only fcntl is called, which is safe there; the child has
    // the descriptor from its parent, who holds it open.
    unsafe {
        command.pre_exec(move || {
            let sealed = BorrowedFd::borrow_raw(sealed);
            Ok(rustix::io::fcntl_setfd(sealed, FdFlags::empty())?)
        });
    }
}
