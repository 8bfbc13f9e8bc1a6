//! AdamW's moments: all of them, or this rank's part.

use super::Trainer;
use crate::model::Parameters;
use crate::tensor::{Arena, ArenaError, Region};
use crate::train::exchange::Exchange;
use crate::train::named_tensors::{FIRST, SECOND, tensors, tensors_at};
use crate::train::tensor_file::Tensor;

/// First and second moments.
#[derive(Debug)]
pub(super) enum Moments {
    /// Of all values.
    Whole(Box<[Parameters; 2]>),
    /// Of this rank's part of each bucket, one behind the other.
    Shared([Region; 2]),
}

impl Trainer {
    /// AdamW's moments, first and second.
    ///
    /// # Panics
    /// When the trainer shares them with others.
    pub fn moments(&self) -> [&Parameters; 2] {
        match &self.moments {
            Moments::Whole(moments) => moments.each_ref(),
            Moments::Shared(_) => panic!("no rank has all moments"),
        }
    }

    /// Weights and both moments, to be overwritten from a checkpoint of `updates` updates.
    ///
    /// # Panics
    /// When the trainer shares its moments with others: what is restored comes before.
    pub fn restore(&mut self, updates: u64) -> [&mut Parameters; 3] {
        self.updates = updates;
        self.packed_at = None;
        match &mut self.moments {
            Moments::Whole(moments) => {
                let [first, second] = &mut **moments;
                [&mut self.parameters, first, second]
            }
            Moments::Shared(_) => panic!("no rank has all moments"),
        }
    }

    /// What a checkpoint keeps: the weights, and both moments whole. Where ranks share them, all call this together, and the gradients
    /// and the messages make room, so that it takes no memory.
    pub fn tensors(&mut self) -> [Vec<Tensor<'_>>; 2] {
        if let (Moments::Shared([first, second]), Some(exchange)) =
            (&self.moments, &mut self.exchange)
        {
            offer(exchange, first);
            // The next step clears them.
            self.unspent = true;
            for (range, values) in exchange.gathered() {
                self.gradients.values[range].copy_from_slice(values);
            }
            offer(exchange, second);
            exchange.gathered().for_each(drop);
        }
        let weights = tensors(&self.parameters, "");
        let moments = match (&self.moments, &self.exchange) {
            (Moments::Whole(moments), _) => {
                [tensors(&moments[0], FIRST), tensors(&moments[1], SECOND)]
            }
            (Moments::Shared(_), exchange) => {
                let at = |range: &_| exchange.as_ref().and_then(|exchange| exchange.at(range));
                let second = |range: &_| at(range).expect("a tensor lies in one bucket");
                [
                    tensors(&self.gradients, FIRST),
                    tensors_at(&self.parameters.layout, SECOND, second),
                ]
            }
        };
        [weights, moments.concat()]
    }

    /// Keeps this rank's part of rank 0's moments, which are zeros where nothing was updated, and gives back the memory of the rest.
    pub(super) fn share_moments(&mut self, exchange: &Exchange) -> Result<(), ArenaError> {
        let Moments::Whole(whole) = &self.moments else {
            return Ok(());
        };
        let cut = exchange.cut();
        let mut arenas = Vec::new();
        let mut part = |whole: &Parameters| -> Result<Region, ArenaError> {
            let mut arena = Arena::new(cut.own_len())?;
            let mut own = arena.take(cut.own_len());
            arenas.push(("moments", arena));
            if self.updates == 0 {
                return Ok(own);
            }
            let (rank, mut start) = (exchange.fleet().rank(), 0);
            for (bucket, range) in cut.buckets().iter().enumerate() {
                let mut values = vec![0.0; range.len()];
                if rank == 0 {
                    values.copy_from_slice(&whole.values[range.clone()]);
                }
                exchange.fleet().spread(&mut values);
                let part = cut.part(bucket, rank);
                own[start..][..part.len()]
                    .copy_from_slice(&values[part.start - range.start..part.end - range.start]);
                start += cut.part_len(bucket);
            }
            Ok(own)
        };
        let shared = [part(&whole[0])?, part(&whole[1])?];
        self.moments = Moments::Shared(shared);
        self.arenas.retain(|(role, _)| *role != "moments");
        self.arenas.extend(arenas);
        Ok(())
    }
}

/// Sends this rank's part of every bucket.
fn offer(exchange: &mut Exchange, own: &[f32]) {
    let mut start = 0;
    for bucket in 0..exchange.cut().buckets().len() {
        let len = exchange.cut().part(bucket, exchange.fleet().rank()).len();
        exchange.offer(bucket, &own[start..][..len]);
        start += exchange.cut().part_len(bucket);
    }
}
