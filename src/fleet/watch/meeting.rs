//! How rank 0 and the others find each other: what the engine carries is where rank 0 listens, and a secret by which it knows them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{LIMIT, LOOK, Peer};
use crate::fleet::Fleet;

/// Until all have come.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// For one address, which may be of a network that the others do not see.
const TRIAL: Duration = Duration::from_secs(1);

const SECRET: usize = 16;
const WELCOME: u8 = b'w';

/// Why ranks cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// No connection between rank 0 and another.
    #[error("{peer} and rank 0 do not reach each other over TCP: {reason}")]
    Unreachable {
        /// The first such rank.
        peer: Peer,
        /// As it saw it.
        reason: String,
    },
    /// The system gives no thread.
    #[error("no thread to watch the other ranks: {0}")]
    Thread(#[from] io::Error),
    /// Nor a timer, which takes a pending signal.
    #[error("no timer that would end this process if it were stopped ({0}): see `ulimit -i`")]
    Timer(#[source] io::Error),
}

/// A connection to every other rank, or to rank 0.
pub(super) fn meet(
    fleet: &Fleet,
    name: &str,
    addresses: &[IpAddr],
) -> Result<Vec<(Peer, TcpStream)>, WatchError> {
    let names = fleet.tell(name.as_bytes().to_vec());
    let peer = |rank: usize| Peer {
        rank,
        name: String::from_utf8_lossy(&names[rank]).into_owned(),
    };
    let met = if fleet.rank() == 0 {
        match listen(addresses) {
            Ok((listener, secret, invitation)) => {
                fleet.hear(invitation.into_bytes());
                welcome(&listener, &secret, fleet.size())
            }
            Err(error) => {
                fleet.hear(Vec::new());
                Err(error.to_string())
            }
        }
    } else {
        let invitation = fleet.hear(Vec::new());
        visit(&String::from_utf8_lossy(&invitation), fleet.rank()).map(|stream| vec![(0, stream)])
    };
    let (streams, reason) =
        met.map_or_else(|reason| (Vec::new(), reason), |met| (met, String::new()));
    // All know who did not find the way; rank 0 alone cannot say.
    let reasons = fleet.tell(reason.into_bytes());
    let bad = |rank: &usize| !reasons[*rank].is_empty();
    if let Some(rank) = (1..fleet.size()).find(bad).or_else(|| Some(0).filter(bad)) {
        let reason = String::from_utf8_lossy(&reasons[rank]).into_owned();
        return Err(WatchError::Unreachable {
            peer: peer(rank),
            reason,
        });
    }
    Ok(streams
        .into_iter()
        .map(|(rank, stream)| (peer(rank), stream))
        .collect())
}

/// Where rank 0 listens, the secret, and both as a line.
fn listen(addresses: &[IpAddr]) -> io::Result<(TcpListener, [u8; SECRET], String)> {
    // Of both families where there are two.
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0))
        .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
    listener.set_nonblocking(true)?;
    let mut secret = [0; SECRET];
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    let mut line = String::new();
    for byte in secret {
        // A string takes everything.
        let _ = write!(line, "{byte:02x}");
    }
    let port = listener.local_addr()?.port();
    for address in addresses {
        let _ = write!(line, " {}", SocketAddr::new(*address, port));
    }
    Ok((listener, secret, line))
}

/// Waits for every other rank; who does not know the secret is none.
fn welcome(
    listener: &TcpListener,
    secret: &[u8; SECRET],
    size: usize,
) -> Result<Vec<(usize, TcpStream)>, String> {
    let (begin, mut met) = (Instant::now(), Vec::new());
    while met.len() + 1 < size {
        match listener.accept() {
            Ok((stream, _)) => {
                if let Ok(Some(rank)) = recognize(&stream, secret) {
                    met.push((rank, stream));
                }
            }
            Err(_) if begin.elapsed() < PATIENCE => sleep(LOOK / 10),
            Err(_) => {
                let missing = (1..size).find(|rank| met.iter().all(|(known, _)| known != rank));
                let (rank, limit) = (missing.unwrap_or_default(), PATIENCE.as_secs());
                return Err(format!("rank {rank} has not come within {limit} s"));
            }
        }
    }
    Ok(met)
}

/// The rank at the other end.
fn recognize(mut stream: &TcpStream, secret: &[u8; SECRET]) -> io::Result<Option<usize>> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(TRIAL))?;
    let mut hello = [0; SECRET + 4];
    stream.read_exact(&mut hello)?;
    let (shown, rank) = hello.split_at(SECRET);
    if shown != secret {
        return Ok(None);
    }
    stream.write_all(&[WELCOME])?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let rank = rank.try_into().map(u32::from_le_bytes).unwrap_or_default();
    Ok(Some(rank as usize))
}

/// The connection to rank 0, by the first of its addresses at which it is.
fn visit(invitation: &str, rank: usize) -> Result<TcpStream, String> {
    let mut words = invitation.split(' ');
    let secret = words.next().unwrap_or_default();
    let secret: Vec<u8> = (0..secret.len() / 2)
        .filter_map(|byte| u8::from_str_radix(&secret[2 * byte..2 * byte + 2], 16).ok())
        .collect();
    let (begin, mut reasons) = (Instant::now(), Vec::new());
    for word in words.take_while(|_| begin.elapsed() < PATIENCE) {
        let tried = word
            .parse()
            .map_err(io::Error::other)
            .and_then(|address| introduce(address, &secret, rank));
        match tried {
            Ok(stream) => return Ok(stream),
            Err(error) => reasons.push(format!("{word}: {error}")),
        }
    }
    if reasons.is_empty() {
        return Err("rank 0 listens nowhere".to_owned());
    }
    Err(reasons.join("; "))
}

fn introduce(address: SocketAddr, secret: &[u8], rank: usize) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, TRIAL)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(&[secret, &(rank as u32).to_le_bytes()].concat())?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    if answer != [WELCOME] {
        return Err(io::Error::other("somebody else listens there"));
    }
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}
