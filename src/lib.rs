#![doc = include_str!("ARCHITECTURE.md")]

pub mod atomic;
pub mod bounded;
pub mod json;
pub mod units;

pub mod probe;

pub mod kernels;
pub mod parallel;
pub mod tensor;

pub mod config;
pub mod text;

pub mod fleet;
pub mod model;
pub mod train;

pub mod measure;
pub mod stats;

pub mod history;
pub mod record;
pub mod suites;

pub mod report;

pub mod cli;
