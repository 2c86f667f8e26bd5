//! Memory that a decoder takes, measured and bounded: a length in the input is no licence.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// No decoder may ask for more at once, whatever it reads: 512 MiB, the most that a blob may hold,
/// and what lies around it.
const MOST_AT_ONCE: usize = 520 << 20;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn take(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(held, Ordering::Relaxed);
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > MOST_AT_ONCE {
            // Ends the process: a finding.
            return std::ptr::null_mut();
        }
        take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() > MOST_AT_ONCE {
            return std::ptr::null_mut();
        }
        take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > MOST_AT_ONCE {
            return std::ptr::null_mut();
        }
        // Both exist for a moment.
        take(size);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(at, layout, size) }
    }
}

/// What may be taken whatever the input is: 4 MiB of JSON are believed of any, and a vector that grows holds
/// its old and its new memory for a moment.
const FREE: usize = 3 * (4 << 20);

/// Runs `decode` of `input`, which may take `times` its bytes and [`FREE`] of memory.
#[track_caller]
pub fn bounded<T>(input: &[u8], times: usize, decode: impl FnOnce() -> T) -> T {
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let decoded = decode();
    let taken = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    let most = FREE + input.len() * times;
    assert!(taken <= most, "{taken} bytes of memory for {} of input", input.len());
    decoded
}
