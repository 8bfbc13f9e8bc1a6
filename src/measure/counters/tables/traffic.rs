//! What the memory controllers count, under the names that their drivers give it.

use crate::measure::counters::event::{Counter, Event, Group, Known};

/// Linux' `uncore_snb.c` for clients (`data_reads` up to Rocket Lake, `data_read` from Tiger Lake on), `uncore_snbep.c` for servers.
pub static TRAFFIC: Group = Group {
    name: "memory controllers",
    counters: &[
        Counter {
            name: "memory_read_bytes",
            event: Event::Controllers(&["data_read", "data_reads", "cas_count_read"]),
            unit: "bytes",
            weight: 1.0,
            why: "bytes that the memory controllers read, for all programs and devices",
            known: Known::BytesRead,
        },
        Counter {
            name: "memory_written_bytes",
            event: Event::Controllers(&["data_write", "data_writes", "cas_count_write"]),
            unit: "bytes",
            weight: 1.0,
            why: "bytes that the memory controllers wrote, for all programs and devices",
            known: Known::Something,
        },
    ],
};
