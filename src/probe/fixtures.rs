//! Tests on recorded machines.
