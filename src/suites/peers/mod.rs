//! What else multiplies matrices on this machine: two crates, and the BLAS libraries that are installed.
//!
//! A library is loaded at run time and never linked, so that the program builds and runs where there is none. Each is told its number
//! of threads and is watched keeping to it ([`Hands`]); each result is compared with ours before it is timed.
//! To add one: a row in `cblas::LIBRARIES` where it speaks CBLAS, else a file here and its line in `find`.

#[cfg(feature = "peers")]
mod cblas;
#[cfg(feature = "peers")]
mod crates;
mod hands;
#[cfg(feature = "peers")]
mod onednn;

pub(super) use hands::rest;
pub use hands::{Crew, Hands};

use super::Recorder;

/// How the operands of a product lie in memory; all are row-major.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layout {
    /// A is m x k, B is k x n.
    Nn,
    /// B comes transposed: n x k.
    Nt,
    /// A comes transposed: k x m.
    Tn,
}

impl Layout {
    /// Its part of a metric's name.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Nn => "nn",
            Layout::Nt => "nt",
            Layout::Tn => "tn",
        }
    }

    /// Whether A comes transposed.
    pub fn a_transposed(self) -> bool {
        self == Layout::Tn
    }

    /// Whether B comes transposed.
    pub fn b_transposed(self) -> bool {
        self == Layout::Nt
    }
}

/// A product of dense matrices as every library understands it.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    /// Rows of C.
    pub m: usize,
    /// Columns of A and rows of B.
    pub k: usize,
    /// Columns of C.
    pub n: usize,
    /// How A and B lie in memory.
    pub layout: Layout,
    /// m x k values.
    pub a: &'a [f32],
    /// k x n values.
    pub b: &'a [f32],
}

impl Product<'_> {
    /// Values from one row of A, as it lies, to the next.
    pub fn a_stride(&self) -> usize {
        if self.layout.a_transposed() {
            self.m
        } else {
            self.k
        }
    }

    /// Values from one row of B, as it lies, to the next.
    pub fn b_stride(&self) -> usize {
        if self.layout.b_transposed() {
            self.k
        } else {
            self.n
        }
    }

    /// Element (`i`, `j`) of C by its definition, in f64.
    pub fn element(&self, i: usize, j: usize) -> f64 {
        let a = |p: usize| match self.layout.a_transposed() {
            true => self.a[p * self.m + i],
            false => self.a[i * self.k + p],
        };
        let b = |p: usize| match self.layout.b_transposed() {
            true => self.b[j * self.k + p],
            false => self.b[p * self.n + j],
        };
        (0..self.k).map(|p| f64::from(a(p)) * f64::from(b(p))).sum()
    }

    /// Panics unless the operands and `c` have the sizes that the product says: libraries are handed bare pointers.
    #[cfg(any(feature = "peers", test))]
    fn check(&self, c: &[f32]) {
        let sizes = (self.a.len(), self.b.len(), c.len());
        let needed = (self.m * self.k, self.k * self.n, self.m * self.n);
        assert!(
            sizes.0 >= needed.0 && sizes.1 >= needed.1 && sizes.2 >= needed.2,
            "a product of {} x {} x {} was given {sizes:?} values",
            self.m,
            self.k,
            self.n
        );
    }
}

/// Whose threads do the work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Workers {
    /// Those of the pool that it is called in.
    Pool,
    /// The caller and threads that the library starts.
    Own,
}

/// Another implementation of the product.
pub trait Peer: Sync {
    /// Its part of a metric's name.
    fn name(&self) -> &'static str;
    /// Version and build, for people.
    fn about(&self) -> String;
    /// Whose threads do the work.
    fn workers(&self) -> Workers;
    /// Threads that it started when it was loaded, as the system numbers them, in the order of their birth.
    fn born(&self) -> &[u32] {
        &[]
    }
    /// Has it use so many threads from now on.
    ///
    /// # Errors
    /// Why it cannot be told.
    fn set_threads(&self, threads: usize) -> Result<(), String>;
    /// `c = a b`, row-major.
    ///
    /// # Errors
    /// What it refused.
    fn multiply(&self, product: &Product<'_>, c: &mut [f32]) -> Result<(), String>;
    /// Whether it has a function for many products at once.
    fn has_batch(&self) -> bool {
        false
    }
    /// Computes all of `products` by one call, `times` times. The result of the first is at the front of `c`, that of each next one `slot`
    /// values on.
    ///
    /// # Errors
    /// What it refused, or that it has no such function.
    fn multiply_batch(
        &self,
        _products: &[Product<'_>],
        _c: &mut [f32],
        _slot: usize,
        _times: usize,
    ) -> Result<(), String> {
        Err("it has no function for batches".to_owned())
    }
}

/// What was found, and why the others were not.
#[derive(Default)]
pub struct Found {
    /// Those that can be called.
    pub peers: Vec<Box<dyn Peer>>,
    /// Names of the others, each with its reason.
    pub absent: Vec<(&'static str, String)>,
}

impl Found {
    /// Notes who is compared with, and who is not and why.
    pub fn note(&self, recorder: &mut Recorder) {
        for peer in &self.peers {
            let text = format!("Compared with {}: {}.", peer.name(), peer.about());
            recorder.note("method", text);
        }
        for (name, reason) in &self.absent {
            let text = format!("Not compared with {name}: {reason}.");
            recorder.note("method", text);
        }
    }
}

/// Loads everything there is. Libraries that start threads at once take them from the CPUs of the calling thread: call it from one that
/// is bound to none.
pub fn find() -> Found {
    #[cfg(not(feature = "peers"))]
    return Found {
        absent: vec![("peers", "built without the feature `peers`".to_owned())],
        ..Found::default()
    };
    #[cfg(feature = "peers")]
    {
        let mut found = Found::default();
        found.peers.push(Box::new(crates::Matrixmultiply));
        found.peers.push(Box::new(crates::Gemm::default()));
        match onednn::OneDnn::load() {
            Ok(peer) => found.peers.push(Box::new(peer)),
            Err(reason) => found.absent.push((onednn::NAME, reason)),
        }
        for library in cblas::LIBRARIES {
            match cblas::Cblas::load(library) {
                Ok(peer) => found.peers.push(Box::new(peer)),
                Err(reason) => found.absent.push((library.name, reason)),
            }
        }
        found
    }
}

/// Loads the first of `files` that there is, for good: a library with threads of its own must not be unloaded under them. Also the
/// threads that it started.
#[cfg(feature = "peers")]
#[allow(
    unsafe_code,
    reason = "loading a library runs its initializers, which are foreign code"
)]
fn load(files: &[&str]) -> Result<(&'static libloading::Library, Vec<u32>), String> {
    use libloading::os::unix::{RTLD_LOCAL, RTLD_NOW};
    let before = crate::measure::process::threads().unwrap_or_default();
    let mut reason = String::new();
    for file in files {
        // All functions are bound at once: a library that is loaded later and brings an OpenMP of its own for everyone must not take over
        // the calls of this one.
        let binding = RTLD_NOW | RTLD_LOCAL;
        // SAFETY: these are the published names of numerical libraries, whose initializers detect the CPU and start threads.
        match unsafe { libloading::os::unix::Library::open(Some(*file), binding) } {
            Ok(library) => {
                let library = libloading::Library::from(library);
                let after = crate::measure::process::threads().unwrap_or_default();
                let born = after
                    .into_iter()
                    .filter(|thread| !before.contains(thread))
                    .collect();
                return Ok((Box::leak(Box::new(library)), born));
            }
            Err(error) if reason.is_empty() => {
                reason = spelled(&error);
            }
            Err(_) => {}
        }
    }
    Err(reason)
}

/// The innermost words of an error: the system's.
#[cfg(feature = "peers")]
fn spelled(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::operands::noise;
    use super::*;

    #[test]
    fn every_peer_here_multiplies_every_layout() {
        let found = find();
        for peer in &found.peers {
            assert!(!peer.name().is_empty() && !peer.about().is_empty());
            if let Err(reason) = peer.set_threads(1) {
                assert!(!reason.is_empty());
            }
            for layout in [Layout::Nn, Layout::Nt, Layout::Tn] {
                let (m, k, n) = (17, 33, 9);
                let (mut a, mut b) = (vec![0.0; m * k], vec![0.0; k * n]);
                noise(1, &mut a);
                noise(2, &mut b);
                let product = Product {
                    m,
                    k,
                    n,
                    layout,
                    a: &a,
                    b: &b,
                };
                let mut c = vec![f32::NAN; m * n];
                peer.multiply(&product, &mut c).unwrap();
                for (place, got) in c.iter().enumerate() {
                    let wanted = product.element(place / n, place % n);
                    assert!(
                        (f64::from(*got) - wanted).abs() < 1e-4,
                        "{} {layout:?} {place}: {got} for {wanted}",
                        peer.name()
                    );
                }
            }
        }
        assert!(found.absent.iter().all(|(_, reason)| !reason.is_empty()));
    }

    #[test]
    #[should_panic(expected = "was given")]
    fn short_operands_never_reach_a_library() {
        let product = Product {
            m: 2,
            k: 2,
            n: 2,
            layout: Layout::Nn,
            a: &[0.0; 4],
            b: &[0.0; 4],
        };
        product.check(&[0.0; 3]);
    }
}
