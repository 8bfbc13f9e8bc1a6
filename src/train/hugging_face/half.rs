//! 16-bit floating-point numbers as f32, which holds each of them exactly.

/// IEEE 754 binary16: one sign, five exponent and ten fraction bits.
pub(super) fn from_f16(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    match exponent {
        // Subnormal: units of 2^-24.
        0 => sign * fraction as f32 / 16_777_216.0,
        0x1f => f32::from_bits(u32::from(bits >> 15) << 31 | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(u32::from(bits >> 15) << 31 | (exponent + 112) << 23 | fraction << 13),
    }
}

/// The upper half of an f32.
pub(super) fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_standard_are_met() {
        let known = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65_504.0),
            (0x0400, 6.103_515_6e-5),
            (0x03ff, 6.097_555e-5),
            (0x0001, 5.960_464_5e-8),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, value) in known {
            assert_eq!(from_f16(bits).to_bits(), f32::to_bits(value), "{bits:04x}");
        }
        assert!(from_f16(0x8000).is_sign_negative() && from_f16(0x7e00).is_nan());
        assert_eq!(from_bf16(0x3f80), 1.0);
        assert_eq!(from_bf16(0xc049), -3.140_625);
    }
}
