//! What is multiplied: values between -1 and 1 that look random and are the same in every run.

/// Fills `values`; different seeds give different values. Never zeros alone: some CPUs have treated lines of zeros specially.
pub(super) fn noise(seed: u64, values: &mut [f32]) {
    for (place, value) in values.iter_mut().enumerate() {
        // SplitMix64 (Steele, Lea & Flood, 2014), of which the upper bits make a number below one.
        let mut bits = (seed << 40)
            .wrapping_add(place as u64 + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *value = ((bits >> 40) as f32 / (1u64 << 23) as f32) - 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_balanced_bounded_and_its_own() {
        let (mut one, mut other) = ([0.0; 4096], [0.0; 4096]);
        noise(1, &mut one);
        noise(2, &mut other);
        assert!(one.iter().all(|x| (-1.0..1.0).contains(x)));
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        assert!(mean(&one).abs() < 0.05 && mean(&other).abs() < 0.05);
        let same = one.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(same < 10, "{same}");
    }
}
