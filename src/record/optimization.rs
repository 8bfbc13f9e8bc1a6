//! The lines of the optimization ledger: their names in a document, and what people call them.

/// Each line by its part of a metric's name and its words, in the order of the ledger.
pub const OPTIMIZATIONS: [(&str, &str); 11] = [
    ("simd", "1 SIMD"),
    ("threads", "2 threads"),
    ("batched_matmul", "3 batched products"),
    ("blocked_gemm", "4 cache blocks, panels"),
    ("machine_sizes", "5 sizes for the machine"),
    ("alignment", "6 alignment, 2 MB pages"),
    ("memory_plan", "7 memory planned"),
    ("fused", "8 fused operations"),
    ("native_batch", "9 native batches"),
    ("kv_cache", "10 KV cache"),
    ("all", "training, all of them"),
];

/// What people call a line of the ledger; its own name where it is not known.
pub fn optimization(name: &str) -> &str {
    let known = OPTIMIZATIONS.iter().find(|(known, _)| *known == name);
    known.map_or(name, |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_words_and_unknown_ones_their_name() {
        assert_eq!(optimization("kv_cache"), "10 KV cache");
        assert_eq!(optimization("later"), "later");
    }
}
