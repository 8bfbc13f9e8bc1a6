//! Peers that speak CBLAS: OpenBLAS, BLIS and Intel's MKL, where they are installed.
#![allow(
    unsafe_code,
    reason = "functions of foreign libraries are called by pointer"
)]

use super::{Peer, Product, Workers, load};
use std::ffi::{CStr, c_char, c_int};

/// One library: its name here, its files, newest first, how it is told its threads, and how it tells what it is.
pub(super) struct Library {
    pub(super) name: &'static str,
    /// As its makers write it.
    title: &'static str,
    files: &'static [&'static str],
    threads: Threads,
    version: Version,
}

/// The function that sets the number of threads, by the type of its argument.
enum Threads {
    Int(&'static str),
    Wide(&'static str),
}

/// The function that tells version and build, if there is one.
enum Version {
    /// Gives a text.
    Text(&'static str),
    /// Writes a text into a buffer.
    Buffer(&'static str),
}

/// The libraries that are looked for. MKL comes last: it brings an OpenMP for everyone who is loaded after it.
pub(super) const LIBRARIES: &[Library] = &[
    Library {
        name: "openblas",
        title: "OpenBLAS",
        files: &["libopenblas.so.0", "libopenblas.so"],
        threads: Threads::Int("openblas_set_num_threads"),
        version: Version::Text("openblas_get_config"),
    },
    Library {
        name: "blis",
        title: "BLIS",
        files: &["libblis.so.4", "libblis.so.3", "libblis.so"],
        threads: Threads::Wide("bli_thread_set_num_threads"),
        version: Version::Text("bli_info_get_version_str"),
    },
    Library {
        name: "mkl",
        title: "MKL",
        files: &[
            "libmkl_rt.so.3",
            "libmkl_rt.so.2",
            "libmkl_rt.so.1",
            "libmkl_rt.so",
        ],
        threads: Threads::Int("MKL_Set_Num_Threads"),
        version: Version::Buffer("MKL_Get_Version_String"),
    },
];

/// `cblas_sgemm` with 32-bit integers: order, two transpositions, m, n, k, alpha, A, B, beta, C.
type Sgemm = unsafe extern "C" fn(
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
    f32,
    *const f32,
    c_int,
    *const f32,
    c_int,
    f32,
    *mut f32,
    c_int,
);

/// `cblas_sgemm_batch` as MKL introduced it: order; for each group of equal products two transpositions, m, n, k, alpha; all A; for each
/// group its stride; the same for B; for each group beta; all C; for each group its stride; how many groups; how many products in each.
type SgemmBatch = unsafe extern "C" fn(
    c_int,
    *const c_int,
    *const c_int,
    *const c_int,
    *const c_int,
    *const c_int,
    *const f32,
    *const *const f32,
    *const c_int,
    *const *const f32,
    *const c_int,
    *const f32,
    *const *mut f32,
    *const c_int,
    c_int,
    *const c_int,
);

/// Values of CBLAS' enumerations.
const ROW_MAJOR: c_int = 101;
const AS_IT_IS: c_int = 111;
const TRANSPOSED: c_int = 112;

/// A loaded library.
pub(super) struct Cblas {
    name: &'static str,
    about: String,
    born: Vec<u32>,
    sgemm: Sgemm,
    sgemm_batch: Option<SgemmBatch>,
    set_threads: SetThreads,
}

#[derive(Clone, Copy)]
enum SetThreads {
    Int(unsafe extern "C" fn(c_int)),
    Wide(unsafe extern "C" fn(i64)),
}

impl Cblas {
    /// Loads it and finds its functions.
    pub(super) fn load(wanted: &Library) -> Result<Self, String> {
        let (library, born) = load(wanted.files)?;
        let lacks = |name: &str| format!("its library has no function {name}");
        // SAFETY: the types are those of the libraries' public headers.
        unsafe {
            let sgemm: Sgemm = *library
                .get(b"cblas_sgemm\0")
                .map_err(|_| lacks("cblas_sgemm"))?;
            let set_threads = match wanted.threads {
                Threads::Int(name) => {
                    SetThreads::Int(*library.get(name.as_bytes()).map_err(|_| lacks(name))?)
                }
                Threads::Wide(name) => {
                    SetThreads::Wide(*library.get(name.as_bytes()).map_err(|_| lacks(name))?)
                }
            };
            let sgemm_batch = library.get(b"cblas_sgemm_batch\0").ok();
            let about = version(library, &wanted.version);
            Ok(Self {
                name: wanted.name,
                about: match about {
                    Some(about) if about.contains(wanted.title) => about,
                    Some(about) => format!("{} {about}", wanted.title),
                    None => wanted.title.to_owned(),
                },
                born,
                sgemm,
                sgemm_batch: sgemm_batch.map(|function| *function),
                set_threads,
            })
        }
    }
}

/// What the library says about itself.
///
/// # Safety
/// - The functions have the types that their row says.
unsafe fn version(library: &libloading::Library, from: &Version) -> Option<String> {
    type Text = unsafe extern "C" fn() -> *const c_char;
    type Buffer = unsafe extern "C" fn(*mut c_char, c_int);
    let mut room = [0 as c_char; 256];
    // SAFETY: passed on; texts of these functions live as long as the library and end with a zero, and the buffer's last byte stays zero.
    let text = unsafe {
        match from {
            Version::Text(name) => {
                let function: Text = *library.get(name.as_bytes()).ok()?;
                let text = function();
                if text.is_null() {
                    return None;
                }
                CStr::from_ptr(text)
            }
            Version::Buffer(name) => {
                let function: Buffer = *library.get(name.as_bytes()).ok()?;
                function(room.as_mut_ptr(), room.len() as c_int - 1);
                CStr::from_ptr(room.as_ptr())
            }
        }
    };
    let words: Vec<&str> = text.to_str().ok()?.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

impl Peer for Cblas {
    fn name(&self) -> &'static str {
        self.name
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
        let threads = c_int::try_from(threads).map_err(|_| "too many threads")?;
        // SAFETY: the libraries document that these may be called at any time between products.
        unsafe {
            match self.set_threads {
                SetThreads::Int(function) => function(threads),
                SetThreads::Wide(function) => function(i64::from(threads)),
            }
        }
        Ok(())
    }

    fn multiply(&self, product: &Product<'_>, c: &mut [f32]) -> Result<(), String> {
        product.check(c);
        let Product {
            m, k, n, layout, ..
        } = *product;
        let (a_stride, b_stride) = (size(product.a_stride())?, size(product.b_stride())?);
        let (m, k, n) = (size(m)?, size(k)?, size(n)?);
        // SAFETY: the operands and C were checked to hold these sizes at these strides, and C is borrowed exclusively.
        unsafe {
            (self.sgemm)(
                ROW_MAJOR,
                turned(layout.a_transposed()),
                turned(layout.b_transposed()),
                m,
                n,
                k,
                1.0,
                product.a.as_ptr(),
                a_stride,
                product.b.as_ptr(),
                b_stride,
                0.0,
                c.as_mut_ptr(),
                n,
            );
        }
        Ok(())
    }

    fn has_batch(&self) -> bool {
        self.sgemm_batch.is_some()
    }

    fn multiply_batch(
        &self,
        products: &[Product<'_>],
        c: &mut [f32],
        slot: usize,
        times: usize,
    ) -> Result<(), String> {
        let function = self.sgemm_batch.ok_or("it has no function for batches")?;
        let mut groups = Groups::default();
        let (mut lefts, mut rights) = (Vec::new(), Vec::new());
        let mut results: Vec<*mut f32> = Vec::new();
        for (index, product) in products.iter().enumerate() {
            let end = (index * slot + slot).min(c.len());
            let result = &mut c[index * slot..end];
            product.check(result);
            groups.add(product)?;
            lefts.push(product.a.as_ptr());
            rights.push(product.b.as_ptr());
            results.push(result.as_mut_ptr());
        }
        let [ones, zeros] = [1.0, 0.0].map(|factor| vec![factor; groups.counts.len()]);
        for _ in 0..times {
            // SAFETY: each product was checked to have its sizes in its operands and in its own slot of C, which is borrowed exclusively; all
            // lists have as many entries as there are products or groups.
            unsafe {
                function(
                    ROW_MAJOR,
                    groups.a_turned.as_ptr(),
                    groups.b_turned.as_ptr(),
                    groups.m.as_ptr(),
                    groups.n.as_ptr(),
                    groups.k.as_ptr(),
                    ones.as_ptr(),
                    lefts.as_ptr(),
                    groups.a_strides.as_ptr(),
                    rights.as_ptr(),
                    groups.b_strides.as_ptr(),
                    zeros.as_ptr(),
                    results.as_ptr(),
                    groups.n.as_ptr(),
                    size(groups.counts.len())?,
                    groups.counts.as_ptr(),
                );
            }
        }
        Ok(())
    }
}

/// Neighbours of equal sizes, as a batch function takes them.
#[derive(Default)]
struct Groups {
    a_turned: Vec<c_int>,
    b_turned: Vec<c_int>,
    m: Vec<c_int>,
    k: Vec<c_int>,
    n: Vec<c_int>,
    a_strides: Vec<c_int>,
    b_strides: Vec<c_int>,
    counts: Vec<c_int>,
}

impl Groups {
    fn add(&mut self, product: &Product<'_>) -> Result<(), String> {
        let (m, k, n) = (size(product.m)?, size(product.k)?, size(product.n)?);
        let (a, b) = (size(product.a_stride())?, size(product.b_stride())?);
        let layout = product.layout;
        let (a_turned, b_turned) = (turned(layout.a_transposed()), turned(layout.b_transposed()));
        let last = (self.m.last(), self.k.last(), self.n.last());
        let alike =
            (self.a_turned.last(), self.b_turned.last()) == (Some(&a_turned), Some(&b_turned));
        if let (true, Some(count)) = (
            alike && last == (Some(&m), Some(&k), Some(&n)),
            self.counts.last_mut(),
        ) {
            *count += 1;
            return Ok(());
        }
        self.a_turned.push(a_turned);
        self.b_turned.push(b_turned);
        self.m.push(m);
        self.k.push(k);
        self.n.push(n);
        self.a_strides.push(a);
        self.b_strides.push(b);
        self.counts.push(1);
        Ok(())
    }
}

fn turned(transposed: bool) -> c_int {
    if transposed { TRANSPOSED } else { AS_IT_IS }
}

/// A size as the libraries count.
fn size(size: usize) -> Result<c_int, String> {
    c_int::try_from(size.max(1)).map_err(|_| format!("a size of {size} is more than it can count"))
}
