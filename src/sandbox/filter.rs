//! The system calls that a caged program may not make: a seccomp filter (seccomp(2)).
//!
//! Namespaces leave a program the whole of the kernel to look for a way out. What no database
//! needs is refused: sockets other than unix ones (also those that no network namespace
//! holds, e.g. a virtual machine's), namespaces and mounts of its own, other processes' memory,
//! and the parts of the kernel with the longest record of holes.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::handed_on;

/// A filter for one machine's numbering of system calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter(&'static Machine);

/// How a machine numbers the system calls in question.
#[derive(Debug)]
struct Machine {
    name: &'static str,
    /// `AUDIT_ARCH_…` of linux/audit.h.
    audit: u32,
    socket: u32,
    socketpair: u32,
    clone: u32,
    clone3: u32,
    /// unshare, setns, mount, umount2, pivot_root, chroot, ptrace, process_vm_readv and _writev,
    /// add_key, request_key, keyctl, bpf, perf_event_open, userfaultfd, io_uring_setup, _enter and
    /// _register, open_by_handle_at, fsopen, move_mount, open_tree, mount_setattr.
    refused: &'static [u32],
}

const MACHINES: [Machine; 2] = [
    Machine {
        name: "x86_64",
        audit: 0xC000_003E,
        socket: 41,
        socketpair: 53,
        clone: 56,
        clone3: 435,
        refused: &[
            272, 308, 165, 166, 155, 161, 101, 310, 311, 248, 249, 250, 321, 298, 323, 425, 426,
            427, 304, 430, 429, 428, 442,
        ],
    },
    Machine {
        name: "aarch64",
        audit: 0xC000_00B7,
        socket: 198,
        socketpair: 199,
        clone: 220,
        clone3: 435,
        refused: &[
            97, 268, 40, 39, 41, 51, 117, 270, 271, 217, 218, 219, 280, 241, 282, 425, 426, 427,
            265, 430, 429, 428, 442,
        ],
    },
];

/// Numbers from here on are x86_64's second numbering (x32), which would go around the first.
const X32: u32 = 0x4000_0000;

const NEW_USER_NAMESPACE: u32 = 0x1000_0000;
const UNIX_SOCKETS: u32 = 1;

/// Offsets in `struct seccomp_data`: number, machine, the low half of the first argument.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

const ALLOW: u32 = 0x7FFF_0000;
const REFUSE: u32 = 0x0005_0000;

impl Filter {
    /// The filter of this machine; none for one whose numbers are not known here.
    pub(super) fn for_this_machine() -> Option<Self> {
        MACHINES.iter().find(|machine| machine.name == std::env::consts::ARCH).map(Self)
    }

    /// The program in memory that nobody can change, to be read from its beginning.
    pub(super) fn sealed(self) -> io::Result<OwnedFd> {
        handed_on::sealed("lifeboat-filter", &self.program())
    }

    /// Classic BPF, as `struct sock_filter` lays it out.
    fn program(self) -> Vec<u8> {
        let machine = self.0;
        let refuse = |errno: Errno| REFUSE | errno.raw_os_error().unsigned_abs();
        let mut program = Assembly::default();
        program.load(ARCHITECTURE);
        program.unless_equal(machine.audit, refuse(Errno::PERM));
        program.load(NUMBER);
        program.if_at_least(X32, refuse(Errno::PERM));
        for number in machine.refused {
            program.if_equal(*number, refuse(Errno::PERM));
        }
        // Its flags are in memory, where a filter cannot look; the C library then uses clone.
        program.if_equal(machine.clone3, refuse(Errno::NOSYS));
        program.on(machine.clone, |inner| {
            inner.load(FIRST_ARGUMENT);
            inner.if_any_bit(NEW_USER_NAMESPACE, refuse(Errno::PERM));
            inner.answer(ALLOW);
        });
        for number in [machine.socket, machine.socketpair] {
            program.on(number, |inner| {
                inner.load(FIRST_ARGUMENT);
                inner.unless_equal(UNIX_SOCKETS, refuse(Errno::AFNOSUPPORT));
                inner.answer(ALLOW);
            });
        }
        program.answer(ALLOW);
        program.bytes
    }
}

/// Instructions of classic BPF one after the other; see linux/bpf_common.h for the codes.
#[derive(Default)]
struct Assembly {
    bytes: Vec<u8>,
}

impl Assembly {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const JUMP_IF_ANY_BIT: u16 = 0x45;
    const RETURN: u16 = 0x06;

    /// `otherwise` and `then` are how many instructions are jumped over.
    fn put(&mut self, code: u16, then: u8, otherwise: u8, value: u32) {
        self.bytes.extend(code.to_ne_bytes());
        self.bytes.extend([then, otherwise]);
        self.bytes.extend(value.to_ne_bytes());
    }

    fn load(&mut self, offset: u32) {
        self.put(Self::LOAD_WORD, 0, 0, offset);
    }

    fn answer(&mut self, action: u32) {
        self.put(Self::RETURN, 0, 0, action);
    }

    fn if_equal(&mut self, value: u32, action: u32) {
        self.put(Self::JUMP_IF_EQUAL, 0, 1, value);
        self.answer(action);
    }

    fn unless_equal(&mut self, value: u32, action: u32) {
        self.put(Self::JUMP_IF_EQUAL, 1, 0, value);
        self.answer(action);
    }

    fn if_at_least(&mut self, value: u32, action: u32) {
        self.put(Self::JUMP_IF_AT_LEAST, 0, 1, value);
        self.answer(action);
    }

    fn if_any_bit(&mut self, bits: u32, action: u32) {
        self.put(Self::JUMP_IF_ANY_BIT, 0, 1, bits);
        self.answer(action);
    }

    /// `inner` decides about the system call `number`; it must answer.
    fn on(&mut self, number: u32, inner: impl FnOnce(&mut Self)) {
        let mut body = Self::default();
        inner(&mut body);
        let length = u8::try_from(body.bytes.len() / 8).expect("a few instructions");
        self.put(Self::JUMP_IF_EQUAL, 0, length, number);
        self.bytes.extend(body.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_refuses_equally_many_calls_and_every_way_ends_with_an_answer() {
        for machine in &MACHINES {
            let mut refused = machine.refused.to_vec();
            refused.sort_unstable();
            refused.dedup();
            assert_eq!(refused.len(), 23, "{}", machine.name);
            let program = Filter(machine).program();
            let last: [u8; 8] = program[program.len() - 8..].try_into().unwrap();
            assert_eq!(u16::from_ne_bytes([last[0], last[1]]), Assembly::RETURN);
            assert_eq!(program.len() % 8, 0);
        }
    }
}
