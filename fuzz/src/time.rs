//! Time of the processor, which does not go on while the machine does something else, and the end of the program.

/// Seconds of the processor that this program has used.
pub(crate) fn used() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is there to be written to.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Has `tell` called when libFuzzer ends the program.
pub(crate) fn at_exit(tell: extern "C" fn()) {
    // SAFETY: a function without arguments that stays where it is.
    unsafe { libc::atexit(tell) };
}
