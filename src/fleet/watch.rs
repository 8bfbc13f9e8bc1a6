//! Signs of life, beside MPI: where a rank dies, stops or is cut off, MPI may wait for it for ever.
//!
//! Rank 0 keeps a TCP connection to every other rank. Each end sends a byte twice a second, and looks for those of the other. A
//! connection that closes without a farewell is a rank that died; one that is silent for [`LIMIT`] is a rank that is stopped, or that
//! the network does not reach. The one that is stopped ends too: it has a [`Timer`] of the kernel's, which it no longer sets again.

mod meeting;
mod timer;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Fleet;
use crate::parallel::aside;
use meeting::PATIENCE;
pub use meeting::WatchError;
use timer::Timer;

/// Silence after which a rank is lost.
const LIMIT: Duration = Duration::from_secs(5);

/// Between two bytes, and between two looks for them.
const BEAT: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(100);

/// A rank that has failed gets so long to say why before the others end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A rank that has not beaten for so long is killed: by then the others have missed it and have said so.
const KILLED: Duration = LIMIT.saturating_add(LAST_WORDS);

/// The same while ranks look for each other, which each gives up after [`PATIENCE`] and one trial more.
const KILLED_EARLY: Duration = PATIENCE.saturating_mul(2);

const ALIVE: u8 = b'.';
const DONE: u8 = b'd';
const FAILED: u8 = b'f';

/// A rank that is watched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Which.
    pub rank: usize,
    /// Its host and process, for people.
    pub name: String,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rank {} ({})", self.rank, self.name)
    }
}

/// What became of a rank.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Lost {
    /// Nothing was heard of it for as long as the limit.
    #[error(
        "{0} has been silent for {limit} s: it is stopped, or the network does not reach it",
        limit = LIMIT.as_secs()
    )]
    Silent(Peer),
    /// Its connection closed without a farewell.
    #[error("{0} has died")]
    Gone(Peer),
    /// It said that it failed: it, or whom it lost, has been told of on its own stderr.
    #[error("{0} has failed, and says why")]
    Failed(Peer),
}

/// How a process ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Farewell {
    /// All is done.
    Done,
    /// Nobody should wait for it.
    Failed,
}

/// A thread that watches the others and shows them that this process lives.
#[derive(Debug)]
pub struct Watch {
    orders: Sender<Farewell>,
    thread: JoinHandle<()>,
}

impl Watch {
    /// Connects rank 0, at one of its `addresses`, with all others, and begins to watch; `lost` is called at most once, with the first
    /// who is lost. All ranks call this. Until the watch ends, a process that stands still for longer than the others wait for it is
    /// killed by the kernel.
    ///
    /// # Errors
    /// On all ranks, when one of them cannot be reached; on this one, when the system gives it no timer or no thread.
    pub fn start(
        fleet: &Fleet,
        name: &str,
        addresses: &[IpAddr],
        lost: impl FnOnce(Lost) + Send + 'static,
    ) -> Result<Watch, WatchError> {
        let timer = Timer::start(KILLED_EARLY).map_err(WatchError::Timer)?;
        let peers = meeting::meet(fleet, name, addresses)?;
        let (orders, taken) = channel();
        let first = fleet.rank() == 0;
        let thread = aside("loopos-watch", move || {
            if let Some(who) = watch(peers, first, &taken, || timer.set(KILLED)) {
                lost(who);
            }
        })?;
        Ok(Watch { orders, thread })
    }

    /// Ends the watch after telling the others.
    pub fn end(self, farewell: Farewell) {
        // Where the thread has ended, so has the watch.
        let _ = self.orders.send(farewell);
        drop(self.thread.join());
    }
}

/// The other end of a connection.
struct Line {
    peer: Peer,
    stream: TcpStream,
    heard: Instant,
    /// Since when it has been known to have failed.
    failed: Option<Instant>,
    done: bool,
}

impl Line {
    fn new(peer: Peer, stream: TcpStream) -> Line {
        Line {
            peer,
            stream,
            heard: Instant::now(),
            failed: None,
            done: false,
        }
    }

    /// A byte that does not go is one that the other end will miss.
    fn say(&mut self, byte: u8) {
        let _ = self.stream.write_all(&[byte]);
    }

    /// Whether it is lost.
    fn listen(&mut self) -> Option<Lost> {
        let mut bytes = [0; 64];
        let closed = loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => break true,
                Ok(count) => {
                    self.heard = Instant::now();
                    self.done |= bytes[..count].contains(&DONE);
                    if bytes[..count].contains(&FAILED) {
                        self.failed.get_or_insert_with(Instant::now);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        let peer = || self.peer.clone();
        match self.failed {
            _ if self.done => None,
            // Rank 0 has spoken, and all follow at once.
            Some(since) => (closed || self.peer.rank == 0 || since.elapsed() >= LAST_WORDS)
                .then(|| Lost::Failed(peer())),
            None if closed => Some(Lost::Gone(peer())),
            None => (self.heard.elapsed() >= LIMIT).then(|| Lost::Silent(peer())),
        }
    }
}

/// Until the farewell, or until somebody is lost; `beat` is called with each byte.
fn watch(
    peers: Vec<(Peer, TcpStream)>,
    first: bool,
    orders: &Receiver<Farewell>,
    beat: impl Fn() -> io::Result<()>,
) -> Option<Lost> {
    let mut lines: Vec<Line> = peers
        .into_iter()
        .map(|(peer, stream)| Line::new(peer, stream))
        .collect();
    let mut spoke: Option<Instant> = None;
    loop {
        match orders.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Farewell::Done) => return tell(&mut lines, DONE),
            // Dropped without a farewell: a panic.
            Ok(Farewell::Failed) | Err(RecvTimeoutError::Disconnected) => {
                return tell(&mut lines, FAILED);
            }
        }
        if spoke.is_none_or(|spoke| spoke.elapsed() >= BEAT) {
            spoke = Some(Instant::now());
            // A timer that cannot be set again runs out, as if this process stood still.
            let _ = beat();
            lines.iter_mut().for_each(|line| line.say(ALIVE));
        }
        if let Some(lost) = lines.iter_mut().find_map(Line::listen) {
            if first {
                tell(&mut lines, FAILED);
            }
            return Some(lost);
        }
    }
}

fn tell(lines: &mut [Line], byte: u8) -> Option<Lost> {
    lines.iter_mut().for_each(|line| line.say(byte));
    None
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Shutdown, TcpListener};

    use super::*;
    use crate::fleet::testing::fleets;

    /// A watched connection and its other end.
    fn pair(rank: usize) -> ((Peer, TcpStream), TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let name = "a host".to_owned();
        ((Peer { rank, name }, stream), other)
    }

    #[test]
    fn who_dies_fails_or_is_silent_is_named() {
        let beat = || Ok(());
        let (_orders, taken) = channel();
        let (here, other) = pair(3);
        other.shutdown(Shutdown::Both).unwrap();
        let lost = watch(vec![here], true, &taken, beat).unwrap();
        assert_eq!(lost.to_string(), "rank 3 (a host) has died");
        let (here, mut other) = pair(0);
        other.write_all(&[ALIVE, FAILED]).unwrap();
        assert!(
            matches!(watch(vec![here], false, &taken, beat), Some(Lost::Failed(peer)) if peer.rank == 0)
        );
        let (_more_orders, none) = channel();
        let ((well, dumb), (mut lively, _silent)) = {
            let (a, b) = (pair(1), pair(2));
            ((a.0, b.0), (a.1, b.1))
        };
        let began = Instant::now();
        let lost = std::thread::scope(|scope| {
            let watching = scope.spawn(move || watch(vec![well, dumb], true, &none, beat));
            while !watching.is_finished() {
                // Once the other is lost, nobody listens.
                let _ = lively.write_all(&[ALIVE]);
                std::thread::sleep(LOOK);
            }
            watching.join().unwrap().unwrap()
        });
        assert!(
            matches!(&lost, Lost::Silent(peer) if peer.rank == 2),
            "{lost}"
        );
        assert!((LIMIT..LIMIT + Duration::from_secs(1)).contains(&began.elapsed()));
        let mut last = Vec::new();
        // A byte that came too late for the other end resets the connection, behind what it had said.
        let _ = lively.read_to_end(&mut last);
        assert!(last.contains(&FAILED), "the others are told");
    }

    #[test]
    fn ranks_that_part_in_peace_are_not_lost() {
        let lost = fleets(3, |fleet| {
            let (said, heard) = channel();
            let report = move |lost: Lost| said.send(lost.to_string()).unwrap();
            let addresses = [Ipv4Addr::LOCALHOST.into()];
            let watch = Watch::start(&fleet, "here", &addresses, report).unwrap();
            std::thread::sleep(LOOK * (1 + fleet.rank() as u32));
            watch.end(Farewell::Done);
            fleet.leave();
            heard.try_iter().collect::<Vec<_>>()
        });
        assert_eq!(lost, vec![Vec::<String>::new(); 3]);
    }
}
