//! What comes after pretraining, each as a [`Task`](super::task::Task) of the one training loop.

mod judge;
pub mod losses;
mod policy;
mod preferences;
mod rollout;
mod split;
mod supervised;
mod writing;

pub use judge::{Judge, Prompt, Rule};
pub use policy::{Policy, Reinforcement};
pub use preferences::{Comparison, EncodedPair, Preferences};
pub use rollout::{Advantages, divergence};
pub use split::held_out;
pub use supervised::Supervised;
pub use writing::{Responses, respond};

#[cfg(test)]
mod tests;
