//! The binary: everything is in the library, which tests and fuzzers can reach.

fn main() -> std::process::ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    memory::return_what_is_large();
    lifeboat::cli::main()
}

/// Packs are some 16 MiB. glibc keeps freed memory of that size, in an arena for each thread, once it
/// has seen anything larger be freed, as the key derivation's: measured, 138 MiB instead of 55 for a
/// verification. mallopt(3), M_MMAP_THRESHOLD.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod memory {
    use std::ffi::c_int;

    const M_MMAP_THRESHOLD: c_int = -3;
    const LARGE: c_int = 12 << 20;

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }

    pub(super) fn return_what_is_large() {
        // SAFETY: it only sets a number, and no other thread runs yet. That it is refused costs
        // memory and nothing else.
        unsafe { mallopt(M_MMAP_THRESHOLD, LARGE) };
    }
}
