//! A watchdog timer that the kernel runs out: a process that is stopped can neither end itself nor take the signals by which a launcher
//! ends it, but SIGKILL ends it all the same.
#![allow(
    unsafe_code,
    reason = "timers of POSIX have no safe wrapper in the standard library"
)]

use std::io;
use std::mem;
use std::ptr;
use std::time::Duration;

/// Kills this process once it has run out; taken back when it is dropped.
///
/// It runs on the monotonic clock: while the machine is suspended, it stands still. A forked process has none.
#[derive(Debug)]
pub(super) struct Timer(libc::timer_t);

// SAFETY: a timer is the process's, by a number that any thread may use.
unsafe impl Send for Timer {}

impl Timer {
    /// Starts one that runs out after `left`.
    ///
    /// # Errors
    /// When the system has no more timers or pending signals to give.
    pub(super) fn start(left: Duration) -> io::Result<Timer> {
        // SAFETY: numbers and a pointer that nobody follows, valid when zeroed.
        let mut event: libc::sigevent = unsafe { mem::zeroed() };
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = libc::SIGKILL;
        let mut timer = ptr::null_mut();
        // SAFETY: both are of the right type and outlive the call.
        check(unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer) })?;
        let timer = Timer(timer);
        timer.set(left)?;
        Ok(timer)
    }

    /// Has it run out after `left` from now instead, which is not zero.
    ///
    /// # Errors
    /// None that the system is known for.
    pub(super) fn set(&self, left: Duration) -> io::Result<()> {
        let value = libc::timespec {
            tv_sec: left.as_secs() as libc::time_t,
            tv_nsec: left.subsec_nanos().into(),
        };
        let it_interval = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let until = libc::itimerspec {
            it_interval,
            it_value: value,
        };
        // SAFETY: the timer is there until it is dropped; the system need not tell what was left before.
        check(unsafe { libc::timer_settime(self.0, 0, &until, ptr::null_mut()) })
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: made by `start`, and deleted here alone.
        unsafe { libc::timer_delete(self.0) };
    }
}

fn check(status: libc::c_int) -> io::Result<()> {
    match status {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, ExitStatus, Stdio};
    use std::thread::sleep;

    use super::*;

    /// Names what a process that this test starts is to do.
    const ROLE: &str = "LOOPOS_TEST_TIMER";

    /// A process of this program that does nothing but the test `child`.
    fn process(role: &str) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["fleet::watch::timer::tests::child", "--exact", "--ignored"])
            .env(ROLE, role)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// How it ended; by a signal of this test where it would not for a minute.
    fn end(mut child: Child) -> ExitStatus {
        for _ in 0..600 {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            sleep(Duration::from_millis(100));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("still there");
    }

    #[test]
    #[ignore = "a process of the test below: it is stopped, or waits until a timer would have run out"]
    fn child() {
        let (soon, late) = (Duration::from_secs(2), Duration::from_secs(3600));
        match std::env::var(ROLE).as_deref() {
            Ok("stopped") => {
                let _timer = Timer::start(soon).unwrap();
                signal_hook::low_level::raise(libc::SIGSTOP).unwrap();
            }
            Ok("late") => {
                let timer = Timer::start(late).unwrap();
                timer.set(soon).unwrap();
                sleep(late);
            }
            Ok("lively") => {
                let timer = Timer::start(soon).unwrap();
                timer.set(late).unwrap();
                drop(Timer::start(soon));
                sleep(2 * soon);
            }
            role => panic!("{ROLE} is {role:?}"),
        }
    }

    #[test]
    fn who_is_stopped_or_late_is_killed_and_who_sets_it_again_or_drops_it_lives() {
        let [stopped, late, lively] = ["stopped", "late", "lively"].map(process);
        assert_eq!(end(stopped).signal(), Some(libc::SIGKILL));
        assert_eq!(end(late).signal(), Some(libc::SIGKILL));
        assert!(end(lively).success());
    }
}
