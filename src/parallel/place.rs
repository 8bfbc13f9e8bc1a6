//! Where threads run that are not of a pool: the caller's, and those that a library started.

/// Lets `f` run while the calling thread is bound to `cpus`, the system's numbers; afterwards it may run where it could before.
/// A refusal leaves it where it is.
pub fn placed<R>(cpus: &[usize], f: impl FnOnce() -> R) -> R {
    let _back = Back(affinity(CALLER));
    bind(CALLER, cpus);
    f()
}

/// Binds a thread of this process to `cpus`; says whether the system did it.
pub fn bind_thread(thread: u32, cpus: &[usize]) -> bool {
    bind(thread as libc::pid_t, cpus)
}

/// The number that stands for the calling thread.
pub(super) const CALLER: libc::pid_t = 0;

/// The affinity to go back to, also when the work in between panics.
struct Back(Option<libc::cpu_set_t>);

impl Drop for Back {
    fn drop(&mut self) {
        if let Some(set) = &self.0 {
            apply(CALLER, set);
        }
    }
}

pub(super) fn bind(thread: libc::pid_t, cpus: &[usize]) -> bool {
    // SAFETY: the set is a plain bit array, valid when zeroed.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for cpu in cpus
        .iter()
        .filter(|cpu| **cpu < 8 * size_of::<libc::cpu_set_t>())
    {
        // SAFETY: the number lies in the set.
        unsafe { libc::CPU_SET(*cpu, &mut set) };
    }
    apply(thread, &set)
}

fn apply(thread: libc::pid_t, set: &libc::cpu_set_t) -> bool {
    // SAFETY: the set is valid, and its size is passed along.
    unsafe { libc::sched_setaffinity(thread, size_of::<libc::cpu_set_t>(), set) == 0 }
}

fn affinity(thread: libc::pid_t) -> Option<libc::cpu_set_t> {
    // SAFETY: the set is a plain bit array, valid when zeroed; the call writes no more than its size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        (libc::sched_getaffinity(thread, size_of::<libc::cpu_set_t>(), &mut set) == 0)
            .then_some(set)
    }
}

/// The CPUs that a thread may run on now, the system's numbers; `None` where it has ended or the system does not tell.
pub(super) fn allowed(thread: libc::pid_t) -> Option<Vec<usize>> {
    let set = affinity(thread)?;
    // SAFETY: the number lies in the set.
    let inside = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &set) };
    Some(
        (0..8 * size_of::<libc::cpu_set_t>())
            .filter(inside)
            .collect(),
    )
}

/// The system's number of the calling thread.
pub(super) fn caller() -> libc::pid_t {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { libc::gettid() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus() -> Vec<usize> {
        allowed(CALLER).unwrap()
    }

    #[test]
    fn the_caller_is_placed_and_comes_back() {
        let before = cpus();
        let last = before[before.len() - 1];
        assert_eq!(placed(&[last], cpus), [last]);
        assert_eq!(cpus(), before);
        assert_eq!(placed(&before, cpus), before);
    }

    #[test]
    fn threads_that_are_not_there_are_refused() {
        assert!(!bind_thread(i32::MAX as u32, &[0]));
        assert!(!bind(CALLER, &[]), "no CPU at all");
        assert!(!bind(CALLER, &[usize::MAX]));
    }
}
