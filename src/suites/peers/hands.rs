//! A peer on a number of threads: told, placed like ours, and watched keeping to it.

use super::{Layout, Peer, Product, Workers};
use crate::measure::clock::Clock;
use crate::measure::process;
use crate::parallel::{self, Pool};
use crate::suites::operands::noise;

/// Rows, columns and depth of the product that a peer is watched at: large enough for every thread to have work.
const TRIAL: usize = 512;

/// Seconds that it is watched; the system counts processor time in hundredths.
const WATCHED: f64 = 0.15;

/// How often it is watched before it is refused.
const TRIALS: usize = 4;

/// A peer that uses the threads it was given.
pub struct Hands<'a> {
    peer: &'a dyn Peer,
    pool: &'a Pool,
    /// Whether each thread of the pool has products of its own.
    shared_out: bool,
    /// Whether its threads live on between products: then each has a CPU of its own, as ours have.
    stays: bool,
}

impl<'a> Hands<'a> {
    /// Has `peer` work on as many threads as `pool` has and on the same CPUs, and makes sure that it does.
    ///
    /// Threads that the library keeps are bound one to a CPU, like ours. Where it starts new ones for each product, they inherit all of
    /// the CPUs from the caller.
    ///
    /// # Errors
    /// Why it cannot, or on how many threads it worked instead.
    pub fn new(peer: &'a dyn Peer, pool: &'a Pool, clock: &Clock) -> Result<Self, String> {
        let threads = pool.cpus().len();
        peer.set_threads(threads)?;
        let mut hands = Self {
            peer,
            pool,
            shared_out: false,
            stays: false,
        };
        if peer.workers() == Workers::Own {
            let mut trial = Trial::new();
            let before = process::threads().map_err(|error| error.to_string())?;
            hands.run(|| trial.multiply(peer))?;
            hands.stays = hands.bind(&before)?;
            hands.watch_again(clock, &mut trial)?;
        }
        Ok(hands)
    }

    /// Has `peer` do many products on as many threads as `pool` has: one that works in our threads does each product on one of them, any other
    /// works as for a single product.
    ///
    /// # Errors
    /// As [`Hands::new`].
    pub fn for_batches(peer: &'a dyn Peer, pool: &'a Pool, clock: &Clock) -> Result<Self, String> {
        if peer.workers() == Workers::Own || pool.cpus().len() == 1 {
            return Self::new(peer, pool, clock);
        }
        peer.set_threads(1)?;
        Ok(Self {
            peer,
            pool,
            shared_out: true,
            stays: false,
        })
    }

    /// Whether the caller is to share products out among the threads of the pool.
    pub fn is_shared_out(&self) -> bool {
        self.shared_out
    }

    /// The peer.
    pub fn peer(&self) -> &'a dyn Peer {
        self.peer
    }

    /// Where its threads are, for people.
    pub fn place(&self) -> &'static str {
        match (self.peer.workers(), self.pool.cpus().len(), self.stays) {
            (Workers::Pool, ..) => "in our threads",
            (_, 1, _) => "bound to our CPU",
            (_, _, true) => "each thread bound to a CPU, as ours",
            (_, _, false) => "new threads for each product on our CPUs",
        }
    }

    /// Runs `f` where the peer's caller belongs.
    pub fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        let cpus = self.pool.cpus();
        match self.peer.workers() {
            Workers::Pool if self.shared_out => self.pool.assemble(f),
            Workers::Pool => self.pool.install(f),
            Workers::Own if self.stays => parallel::placed(&cpus[..1], f),
            Workers::Own => parallel::placed(cpus, f),
        }
    }

    /// Binds the threads that the library keeps, the first to the second CPU and so on; says whether there are any.
    fn bind(&self, before: &[u32]) -> Result<bool, String> {
        let now = process::threads().map_err(|error| error.to_string())?;
        let (cpus, born) = (self.pool.cpus(), self.peer.born());
        let kept: Vec<u32> = now
            .into_iter()
            .filter(|thread| born.contains(thread) || !before.contains(thread))
            .collect();
        for (thread, cpu) in kept.iter().zip(cpus.iter().cycle().skip(1)) {
            parallel::bind_thread(*thread, &[*cpu]);
        }
        Ok(!kept.is_empty())
    }

    /// Watches until it keeps to its threads, a few times at most: other programs may have held one of them up.
    fn watch_again(&self, clock: &Clock, trial: &mut Trial) -> Result<(), String> {
        let mut verdict = Ok(());
        for _ in 0..TRIALS {
            verdict = self.watch(clock, trial);
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }

    /// Finds how many threads worked: all processor time over that of the caller, whatever other programs did meanwhile.
    fn watch(&self, clock: &Clock, trial: &mut Trial) -> Result<(), String> {
        rest(clock);
        let reading = || Ok((process::usage()?.cpu_ticks, process::own_seconds()?));
        let read = || reading().map_err(|error: process::Unreadable| error.to_string());
        let (ticks, own) = read()?;
        let start = clock.now();
        self.run(|| {
            while clock.since(start) < WATCHED {
                trial.multiply(self.peer)?;
            }
            Ok::<(), String>(())
        })?;
        let (ticks_after, own_after) = read()?;
        let all = ticks_after.saturating_sub(ticks) as f64 / 100.0;
        worked(all, own_after - own, self.pool.cpus().len())
    }
}

/// The peers on the threads of one pool: those that are ready, and why the others are not.
pub struct Crew<'a> {
    /// Those that can be timed.
    pub ready: Vec<Hands<'a>>,
    /// Names of the others, each with its reason.
    pub refused: Vec<(String, String)>,
}

impl<'a> Crew<'a> {
    /// Has each of `peers` work on the threads of `pool`.
    pub fn new(peers: &'a [Box<dyn Peer>], pool: &'a Pool, clock: &Clock) -> Self {
        Self::of(peers, |peer| Hands::new(peer, pool, clock))
    }

    /// The same for many products at once.
    pub fn for_batches(peers: &'a [Box<dyn Peer>], pool: &'a Pool, clock: &Clock) -> Self {
        Self::of(peers, |peer| Hands::for_batches(peer, pool, clock))
    }

    fn of(
        peers: &'a [Box<dyn Peer>],
        hands: impl Fn(&'a dyn Peer) -> Result<Hands<'a>, String>,
    ) -> Self {
        let (mut ready, mut refused) = (Vec::new(), Vec::new());
        for peer in peers {
            match hands(&**peer) {
                Ok(hands) => ready.push(hands),
                Err(reason) => refused.push((peer.name().to_owned(), reason)),
            }
        }
        Self { ready, refused }
    }
}

/// Judges `all` seconds of processor time, of which the caller had `own`.
fn worked(all: f64, own: f64, threads: usize) -> Result<(), String> {
    let workers = all / own.max(1e-9);
    if (workers - threads as f64).abs() <= 0.5 {
        return Ok(());
    }
    Err(format!(
        "told to use {threads} threads, it worked on {workers:.1}: {all:.2} s of processor time, {own:.2} s of them the caller's"
    ))
}

/// The product that peers are watched at.
struct Trial {
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Trial {
    fn new() -> Self {
        let mut operands = [1, 2].map(|seed| {
            let mut values = vec![0.0; TRIAL * TRIAL];
            noise(seed, &mut values);
            values
        });
        let [a, b] = &mut operands;
        Self {
            a: std::mem::take(a),
            b: std::mem::take(b),
            c: vec![0.0; TRIAL * TRIAL],
        }
    }

    fn multiply(&mut self, peer: &dyn Peer) -> Result<(), String> {
        let product = Product {
            m: TRIAL,
            k: TRIAL,
            n: TRIAL,
            layout: Layout::Nn,
            a: &self.a,
            b: &self.b,
        };
        peer.multiply(&product, &mut self.c)
    }
}

/// Longest wait for threads to fall asleep; some libraries have theirs look for work for 200 ms after a product.
const LONGEST_REST: f64 = 0.4;

/// Waits until no other thread of this process runs, so that nobody's threads disturb the next one.
pub(in crate::suites) fn rest(clock: &Clock) {
    let start = clock.now();
    while clock.since(start) < LONGEST_REST
        && process::running_threads().is_ok_and(|running| running > 1)
    {
        std::thread::sleep(std::time::Duration::from_micros(500));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_counted_by_their_time() {
        assert!(worked(0.16, 0.15, 1).is_ok());
        assert!(worked(0.29, 0.15, 2).is_ok());
        let error = worked(0.15, 0.15, 2).unwrap_err();
        assert!(error.contains("use 2 threads, it worked on 1.0"), "{error}");
        assert!(worked(0.30, 0.15, 1).is_err());
        assert!(worked(0.0, 0.0, 1).is_err());
    }
}
