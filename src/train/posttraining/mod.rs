//! What comes after pretraining, each as a [`Task`](super::task::Task) of the one training loop.

mod split;
mod supervised;
mod writing;

pub use split::held_out;
pub use supervised::Supervised;
pub use writing::{Responses, respond};
