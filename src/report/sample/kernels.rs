//! Invented numbers of the suites of kernels.

use super::{Builder, noise};
use crate::record::Provenance;

const PEERS: [&str; 6] = [
    "matrixmultiply",
    "gemm",
    "openblas",
    "mkl",
    "blis",
    "onednn",
];

impl Builder {
    /// Products, batches and vector kernels on one thread and on all.
    pub(super) fn kernels(&mut self) {
        for threads in [1, self.threads] {
            for (index, case) in [
                "64x64x64.nn",
                "1024x1024x1024.nn",
                "4096x384x16000.nn",
                "384x4096x1536.tn",
                "4096x1536x384.nt",
                "1x384x16000.nn",
            ]
            .into_iter()
            .enumerate()
            {
                self.contest("gemm", case, index, threads, "packed");
            }
            for (index, case) in ["256x128x48x128.nt", "1024x16x16x16.nn", "ragged.nt"]
                .into_iter()
                .enumerate()
            {
                self.contest("batched", case, index, threads, "loop");
            }
            self.vectors(threads);
            self.generation(threads);
        }
    }

    /// One text at 0.8 of the reading of the weights; eight times as many tokens from sixteen.
    fn generation(&mut self, threads: u32) {
        let subject = format!("generation.{}", self.case);
        let one = 210.0 * f64::from(threads).sqrt();
        let how = "64 tokens of each after 32; median of 12 runs";
        let (measured, derived) = (Provenance::Measured, Provenance::Derived);
        let mut points = Vec::new();
        for (texts, gain) in [(1.0, 1.0), (4.0, 3.1), (16.0, 8.2)] {
            let name = |quantity| format!("{subject}.b{texts}.t{threads}.{quantity}");
            let speed = one * gain;
            self.metric(
                name("tokens_per_second"),
                Some(speed),
                "tokens/s",
                measured,
                how,
            );
            let share = 0.8 * gain / texts;
            self.metric(
                name("share_of_bandwidth"),
                Some(share),
                "ratio",
                derived,
                how,
            );
            points.push((texts, speed));
        }
        let prompt = format!("{subject}.prompt.t{threads}.tokens_per_second");
        self.metric(prompt, Some(9.0 * one), "tokens/s", measured, how);
        let reading = format!("{subject}.weights.t{threads}.gbps");
        self.metric(reading, Some(14.0), "GB/s", measured, how);
        let curve = format!("{subject}.t{threads}.tokens_per_second");
        self.series(curve, "tokens/s", "texts", points, how);
    }

    fn contest(&mut self, prefix: &str, case: &str, index: usize, threads: u32, second: &str) {
        let peak = 140.0 * f64::from(threads);
        let ours = [
            "avx512".to_owned(),
            format!("avx512_{second}"),
            "avx2".to_owned(),
        ];
        let all = ours.iter().map(String::as_str).chain(PEERS);
        for (place, variant) in all.enumerate() {
            // oneDNN is the fastest peer, AVX2 has half of the peak.
            let share = match variant {
                "avx2" => 0.42,
                "onednn" => 0.86,
                _ => 0.55 + 0.4 * noise(index * 7 + place) * 0.7,
            };
            let subject = format!("{prefix}.{case}.{variant}.t{threads}");
            let cannot = variant == "matrixmultiply" && threads > 1;
            let measured = (!cannot).then_some(share * peak);
            let how = match cannot {
                true => "it cannot be told its number of threads",
                false => "operands hot in L2; median of 15 windows",
            };
            let provenance = match cannot {
                true => Provenance::Unavailable,
                false => Provenance::Measured,
            };
            let (gflops, of_peak) = (
                format!("{subject}.gflops"),
                format!("{subject}.share_of_peak"),
            );
            self.metric(gflops, measured, "GFLOP/s", provenance, how);
            let share = measured.map(|_| {
                if variant == "avx2" {
                    2.0 * share
                } else {
                    share
                }
            });
            self.metric(of_peak, share, "ratio", provenance, how);
        }
        let lead = format!("{prefix}.{case}.avx512.t{threads}.speedup_over_best_peer");
        let value = Some(0.8 + 0.4 * noise(index * 7));
        self.metric(
            lead,
            value,
            "ratio",
            Provenance::Derived,
            "onednn over ours",
        );
        if second == "loop" {
            let gain = format!("{prefix}.{case}.avx512.t{threads}.speedup_over_loop");
            let how = "one call each over one call for all";
            self.metric(gain, Some(1.7), "ratio", Provenance::Derived, how);
        }
    }

    fn vectors(&mut self, threads: u32) {
        for set in ["16k", "256k", "8m", "512m"] {
            for (index, kernel) in [
                "copy",
                "add",
                "gelu",
                "layernorm_backward",
                "softmax",
                "adamw",
            ]
            .into_iter()
            .enumerate()
            {
                let subject = format!("simd.{kernel}.{set}.avx512.t{threads}");
                let share = 0.3 + 0.7 * noise(index + set.len() * 10);
                for (quantity, value, unit) in [
                    ("elements_per_second", 8e9 * share, "elements/s"),
                    ("gbps", 60.0 * share, "GB/s"),
                    ("bus_gbps", 90.0 * share, "GB/s"),
                    ("elements_per_cycle", 3.0 * share, "elements/cycle"),
                    ("share_of_bandwidth", share, "ratio"),
                ] {
                    if kernel == "copy" && quantity == "share_of_bandwidth" {
                        continue;
                    }
                    let name = format!("{subject}.{quantity}");
                    let how = "each thread its own working set";
                    self.metric(name, Some(value), unit, Provenance::Measured, how);
                }
            }
        }
    }
}
