//! The thread that speaks for a process: MPI wants to be called by one thread alone, and sums are to travel while others compute.

use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::thread::JoinHandle;

use super::Ranks;
use crate::parallel::aside;

type Job = Box<dyn FnOnce(&mut dyn Ranks) + Send>;

enum Order {
    Do(Job),
    Leave,
}

/// This process among its ranks.
///
/// Every rank must give the same jobs in the same order. Dropped without [`Fleet::leave`], it leaves the engine as it is: to take leave
/// of ranks that are no longer there could take for ever.
#[derive(Debug)]
pub struct Fleet {
    rank: usize,
    size: usize,
    orders: Sender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Fleet {
    /// Starts the thread, which connects first.
    ///
    /// # Errors
    /// When the system gives no thread, or the connection fails.
    pub fn start<R, E>(connect: impl FnOnce() -> Result<R, E> + Send + 'static) -> Result<Fleet, E>
    where
        R: Ranks + 'static,
        E: From<io::Error> + Send + 'static,
    {
        let (orders, taken) = channel();
        let (met, meeting) = sync_channel(1);
        let thread = aside("loopos-ranks", move || {
            let mut ranks = match connect() {
                Ok(ranks) => ranks,
                Err(error) => return drop(met.send(Err(error))),
            };
            if met.send(Ok((ranks.rank(), ranks.size()))).is_err() {
                return std::mem::forget(ranks);
            }
            for order in taken {
                match order {
                    Order::Do(job) => job(&mut ranks),
                    Order::Leave => return,
                }
            }
            std::mem::forget(ranks);
        })?;
        let ended = || io::Error::other("the thread of the ranks has ended");
        let (rank, size) = meeting.recv().map_err(|_| ended())??;
        Ok(Fleet {
            rank,
            size,
            orders,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// This process, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many processes there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Gives a job that nobody waits for here.
    pub fn submit(&self, job: impl FnOnce(&mut dyn Ranks) + Send + 'static) {
        // A thread that has ended took the process's hope with it: whoever waits for an answer is told.
        let _ = self.orders.send(Order::Do(Box::new(job)));
    }

    /// Gives a job and waits for what it comes to.
    ///
    /// # Panics
    /// When the thread has panicked.
    pub fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Ranks) -> T + Send + 'static,
    ) -> T {
        let (answer, answered) = sync_channel(1);
        self.submit(move |ranks| drop(answer.send(job(ranks))));
        answered
            .recv()
            .expect("the thread of the ranks serves as long as the fleet lives")
    }

    /// Whether any rank says yes. A round of small messages.
    pub fn any(&self, yes: bool) -> bool {
        let [count] = self.sum([f64::from(u8::from(yes))]);
        count > 0.0
    }

    /// Sums of a few values over all ranks. A round of small messages.
    pub fn sum<const N: usize>(&self, mut values: [f64; N]) -> [f64; N] {
        self.ask(move |ranks| {
            ranks.sum_exactly(&mut values);
            values
        })
    }

    /// The same for as many values as there are, as many on every rank.
    pub fn sum_all(&self, mut values: Vec<f64>) -> Vec<f64> {
        self.ask(move |ranks| {
            ranks.sum_exactly(&mut values);
            values
        })
    }

    /// What every rank says, by rank.
    pub fn tell(&self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        self.ask(move |ranks| ranks.tell(&bytes))
    }

    /// What rank 0 says: what others bring is not looked at.
    pub fn hear(&self, bytes: Vec<u8>) -> Vec<u8> {
        let own = if self.rank == 0 { bytes } else { Vec::new() };
        self.tell(own).swap_remove(0)
    }

    /// Replaces the values of every rank by those of rank 0, some at a time.
    pub fn spread(&self, values: &mut [f32]) {
        for part in values.chunks_mut(1 << 22) {
            let mut moving = part.to_vec();
            part.copy_from_slice(&self.ask(move |ranks| {
                ranks.spread(&mut moving);
                moving
            }));
        }
    }

    /// Takes leave together with all other ranks, after what was submitted.
    pub fn leave(&self) {
        // Sent or not, the thread ends.
        let _ = self.orders.send(Order::Leave);
        let thread = self.thread.lock().map(|mut thread| thread.take());
        if let Ok(Some(thread)) = thread {
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fleet::testing::fleets;

    #[test]
    fn all_ranks_hear_the_same() {
        let found = fleets(3, |fleet| {
            let rank = fleet.rank();
            let mut values = vec![rank as f32; (1 << 22) + 3];
            fleet.spread(&mut values);
            assert!(values.iter().all(|value| *value == 0.0));
            let heard = fleet.hear(vec![rank as u8 + 7]);
            let answers = (
                fleet.any(rank == 2),
                fleet.any(false),
                fleet.sum([0.5]),
                heard,
            );
            fleet.leave();
            answers
        });
        assert_eq!(found, vec![(true, false, [1.5], vec![7]); 3]);
    }
}
