//! The configurations of `configs/`, compiled in, so that the program knows them from any folder.

/// Name and JSON text of each: pretraining, then what starts from it.
pub const BUILT_IN: [(&str, &str); 7] = [
    (
        "autoregressive_training_small",
        include_str!("../../configs/autoregressive_training_small.json"),
    ),
    (
        "autoregressive_training",
        include_str!("../../configs/autoregressive_training.json"),
    ),
    (
        "autoregressive_training_tiny",
        include_str!("../../configs/autoregressive_training_tiny.json"),
    ),
    (
        "chain_of_thought_small",
        include_str!("../../configs/chain_of_thought_small.json"),
    ),
    (
        "chain_of_thought",
        include_str!("../../configs/chain_of_thought.json"),
    ),
    (
        "rlhf_training_small",
        include_str!("../../configs/rlhf_training_small.json"),
    ),
    (
        "rlhf_training",
        include_str!("../../configs/rlhf_training.json"),
    ),
];

/// The text of a built-in configuration.
pub fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN
        .iter()
        .find(|(built_in, _)| *built_in == name)
        .map(|(_, text)| *text)
}
