//! The instructions and system calls behind the probe: CPUID on a chosen CPU, XGETBV, the affinity mask.
#![allow(
    unsafe_code,
    reason = "XGETBV and the affinity calls have no safe form in std or libc"
)]

use super::leaves::{Leaves, Registers, dump};
use std::collections::BTreeMap;
use std::io;

/// The CPUs that this thread may run on, ascending.
///
/// # Errors
/// What the kernel answers to `sched_getaffinity`.
pub(super) fn affinity() -> io::Result<Vec<u32>> {
    // 1,024 CPUs first; the kernel answers EINVAL while its own mask is longer.
    let mut words = 16;
    loop {
        let mut mask = vec![0_u64; words];
        let bytes = size_of_val(mask.as_slice());
        // SAFETY: the pointer and the length in bytes describe `mask`, which lives and is exclusively borrowed during the call;
        // every bit pattern is a valid u64.
        let outcome = unsafe { libc::sched_getaffinity(0, bytes, mask.as_mut_ptr().cast()) };
        if outcome == 0 {
            let set = |cpu: &u32| mask[*cpu as usize / 64] >> (cpu % 64) & 1 == 1;
            return Ok((0..words as u32 * 64).filter(set).collect());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) || words >= 4096 {
            return Err(error);
        }
        words *= 2;
    }
}

/// Restricts this thread to the given CPUs.
fn run_on(cpus: &[u32]) -> io::Result<()> {
    let highest = cpus.iter().copied().max().unwrap_or(0) as usize;
    let mut mask = vec![0_u64; highest / 64 + 1];
    for &cpu in cpus {
        mask[cpu as usize / 64] |= 1 << (cpu % 64);
    }
    // SAFETY: the pointer and the length in bytes describe `mask`, which the kernel only reads during the call.
    let outcome =
        unsafe { libc::sched_setaffinity(0, size_of_val(mask.as_slice()), mask.as_ptr().cast()) };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// What each of `cpus` answers. The calling thread visits them one after the other and then gets its mask back (the kernel
/// itself narrows a mask that a cpuset has changed meanwhile); a CPU that it may not visit is left out. With none visited,
/// the CPU that it happens to run on speaks as the first one.
pub(super) fn leaves(cpus: &[u32]) -> BTreeMap<u32, Leaves> {
    let mut all = BTreeMap::new();
    for &cpu in cpus {
        if run_on(&[cpu]).is_ok() {
            all.insert(cpu, here());
        }
    }
    let _ = run_on(cpus);
    if all.is_empty() {
        all.insert(cpus.first().copied().unwrap_or(0), here());
    }
    all
}

/// What the CPU that runs this thread answers.
fn here() -> Leaves {
    let ask = |leaf, subleaf| {
        let answer = raw_cpuid::native_cpuid::cpuid_count(leaf, subleaf);
        Registers {
            eax: answer.eax,
            ebx: answer.ebx,
            ecx: answer.ecx,
            edx: answer.edx,
        }
    };
    // SAFETY: `dump` calls this only where CPUID leaf 1 has OSXSAVE set, which is XGETBV's condition.
    dump(ask, || unsafe { xcr0() })
}

/// Reads XCR0, the register states that the system saves and restores (Intel SDM volume 1, chapter 13).
///
/// # Safety
/// CPUID leaf 1 has OSXSAVE (ECX bit 27) set: without it XGETBV is an invalid opcode.
unsafe fn xcr0() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller holds OSXSAVE; XGETBV with ECX = 0 reads XCR0 into EDX:EAX and touches neither memory nor flags.
    unsafe {
        std::arch::asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allowed_cpu_speaks_and_the_mask_returns() {
        let before = affinity().unwrap();
        let all = leaves(&before);
        assert_eq!(affinity().unwrap(), before);
        assert_eq!(all.keys().copied().collect::<Vec<_>>(), before);
        for leaves in all.values() {
            assert_eq!(leaves.vendor().len(), 12);
        }
    }
}
