//! oneDNN's matrix product, where the library is installed. Debian's build works on OpenMP's threads.
#![allow(
    unsafe_code,
    reason = "functions of foreign libraries are called by pointer"
)]

use super::{Peer, Product, Workers, load};
use std::ffi::{c_char, c_int};

/// Its part of a metric's name.
pub(super) const NAME: &str = "onednn";

/// `dnnl_sgemm`, row-major: transpositions as letters, m, n, k, alpha, A, B, beta, C; gives 0 when it was done.
type Sgemm = unsafe extern "C" fn(
    c_char,
    c_char,
    i64,
    i64,
    i64,
    f32,
    *const f32,
    i64,
    *const f32,
    i64,
    f32,
    *mut f32,
    i64,
) -> c_int;

/// The head of what `dnnl_version` points to.
#[repr(C)]
struct Version {
    major: c_int,
    minor: c_int,
    patch: c_int,
}

/// The loaded library.
pub(super) struct OneDnn {
    about: String,
    born: Vec<u32>,
    sgemm: Sgemm,
    set_threads: Option<unsafe extern "C" fn(c_int)>,
}

impl OneDnn {
    /// Loads it and finds its functions.
    pub(super) fn load() -> Result<Self, String> {
        let (library, born) = load(&["libdnnl.so.3", "libdnnl.so.2", "libdnnl.so"])?;
        type Tell = unsafe extern "C" fn() -> *const Version;
        // SAFETY: the types are those of oneDNN's and OpenMP's public headers; the version is a constant of the library.
        unsafe {
            let sgemm: Sgemm = *library
                .get(b"dnnl_sgemm\0")
                .map_err(|_| "its library has no function dnnl_sgemm")?;
            let version = library.get::<Tell>(b"dnnl_version\0");
            let about = version
                .ok()
                .and_then(|tell| tell().as_ref())
                .map_or_else(String::new, |version| {
                    format!(" {}.{}.{}", version.major, version.minor, version.patch)
                });
            // Of the OpenMP that the library brings along; builds on other threads have none.
            let set_threads = library
                .get(b"omp_set_num_threads\0")
                .ok()
                .map(|function| *function);
            Ok(Self {
                about: format!("oneDNN{about}"),
                born,
                sgemm,
                set_threads,
            })
        }
    }
}

impl Peer for OneDnn {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> String {
        self.about.clone()
    }

    fn workers(&self) -> Workers {
        Workers::Own
    }

    fn born(&self) -> &[u32] {
        &self.born
    }

    fn set_threads(&self, threads: usize) -> Result<(), String> {
        let set = self
            .set_threads
            .ok_or("this build does not work on OpenMP and cannot be told its number of threads")?;
        let threads = c_int::try_from(threads).map_err(|_| "too many threads")?;
        // SAFETY: OpenMP allows it outside of a parallel region.
        unsafe { set(threads) };
        Ok(())
    }

    fn multiply(&self, product: &Product<'_>, c: &mut [f32]) -> Result<(), String> {
        product.check(c);
        let turned = |transposed| if transposed { b'T' } else { b'N' } as c_char;
        let size = |size: usize| size.max(1) as i64;
        let layout = product.layout;
        // SAFETY: the operands and C were checked to hold these sizes at these strides, and C is borrowed exclusively.
        let status = unsafe {
            (self.sgemm)(
                turned(layout.a_transposed()),
                turned(layout.b_transposed()),
                product.m as i64,
                product.n as i64,
                product.k as i64,
                1.0,
                product.a.as_ptr(),
                size(product.a_stride()),
                product.b.as_ptr(),
                size(product.b_stride()),
                0.0,
                c.as_mut_ptr(),
                size(product.n),
            )
        };
        if status == 0 {
            Ok(())
        } else {
            Err(format!("dnnl_sgemm refused with status {status}"))
        }
    }
}
