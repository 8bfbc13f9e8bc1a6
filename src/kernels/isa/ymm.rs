//! The 256-bit lane vocabulary, shared by the two ISAs that compute in YMM registers.

/// Writes the methods of [`super::Simd`] that AVX2 and AVX-512VL have in common, for a token with a `mask` function.
macro_rules! ymm_vocabulary {
    () => {
        type V = __m256;
        const LANES: usize = 8;

        #[inline(never)]
        fn run<O: Op>(self, op: O) -> O::Output {
            // SAFETY: the token proves that the features are there.
            unsafe { enter(self, op) }
        }

        #[inline(always)]
        fn splat(self, x: f32) -> __m256 {
            // SAFETY: token.
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        fn load(self, from: &[f32]) -> __m256 {
            let from = &from[..8];
            // SAFETY: token; the slice has 8 values.
            unsafe { _mm256_loadu_ps(from.as_ptr()) }
        }
        #[inline(always)]
        fn load_partial(self, from: &[f32]) -> __m256 {
            // SAFETY: token; masked-off lanes are not read.
            unsafe { _mm256_maskload_ps(from.as_ptr(), Self::mask(from.len())) }
        }
        #[inline(always)]
        fn store(self, v: __m256, to: &mut [f32]) {
            let to = &mut to[..8];
            // SAFETY: token; the slice has 8 places.
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), v) }
        }
        #[inline(always)]
        fn store_partial(self, v: __m256, to: &mut [f32]) {
            // SAFETY: token; masked-off lanes are not written.
            unsafe { _mm256_maskstore_ps(to.as_mut_ptr(), Self::mask(to.len()), v) }
        }

        #[inline(always)]
        fn add(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: token.
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        fn sub(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: token.
            unsafe { _mm256_sub_ps(a, b) }
        }
        #[inline(always)]
        fn mul(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: token.
            unsafe { _mm256_mul_ps(a, b) }
        }
        #[inline(always)]
        fn div(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: token.
            unsafe { _mm256_div_ps(a, b) }
        }
        #[inline(always)]
        fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
            // SAFETY: token.
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        fn max(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: token.
            unsafe { _mm256_max_ps(a, b) }
        }
        #[inline(always)]
        fn min(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: token.
            unsafe { _mm256_min_ps(a, b) }
        }
        #[inline(always)]
        fn sqrt(self, a: __m256) -> __m256 {
            // SAFETY: token.
            unsafe { _mm256_sqrt_ps(a) }
        }
        #[inline(always)]
        fn round(self, a: __m256) -> __m256 {
            // SAFETY: token.
            unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
        }
        #[inline(always)]
        fn scale_exp2(self, a: __m256, n: __m256) -> __m256 {
            // SAFETY: token.
            unsafe {
                let exponent = _mm256_slli_epi32::<23>(_mm256_cvtps_epi32(n));
                _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), exponent))
            }
        }
        #[inline(always)]
        fn reciprocal(self, a: __m256) -> __m256 {
            // SAFETY: token.
            unsafe { _mm256_div_ps(_mm256_set1_ps(1.0), a) }
        }
        #[inline(always)]
        fn select_le(self, x: __m256, y: __m256, a: __m256, b: __m256) -> __m256 {
            // SAFETY: token.
            unsafe { _mm256_blendv_ps(b, a, _mm256_cmp_ps::<_CMP_LE_OQ>(x, y)) }
        }
        #[inline(always)]
        fn sum(self, v: __m256) -> f32 {
            // SAFETY: token.
            unsafe {
                let quad = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
                let pair = _mm_add_ps(quad, _mm_movehl_ps(quad, quad));
                _mm_cvtss_f32(_mm_add_ss(pair, _mm_shuffle_ps::<1>(pair, pair)))
            }
        }
        #[inline(always)]
        fn max_lane(self, v: __m256) -> f32 {
            // SAFETY: token.
            unsafe {
                let quad = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
                let pair = _mm_max_ps(quad, _mm_movehl_ps(quad, quad));
                _mm_cvtss_f32(_mm_max_ss(pair, _mm_shuffle_ps::<1>(pair, pair)))
            }
        }

        #[inline(always)]
        unsafe fn load_at(self, from: *const f32) -> __m256 {
            // SAFETY: token; the caller vouches for 8 readable values.
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store_at(self, v: __m256, to: *mut f32) {
            // SAFETY: token; the caller vouches for 8 writable values.
            unsafe { _mm256_storeu_ps(to, v) }
        }
        #[inline(always)]
        unsafe fn stream_at(self, v: __m256, to: *mut f32) {
            // SAFETY: token; the caller vouches for 8 writable, aligned values.
            unsafe { _mm256_stream_ps(to, v) }
        }
        #[inline(always)]
        unsafe fn transpose_at(
            self,
            rows: usize,
            from: *const f32,
            stride: usize,
            to: *mut f32,
            step: usize,
        ) {
            let mut r = [self.splat(0.0); 8];
            for (row, register) in r.iter_mut().enumerate() {
                if row < rows {
                    // SAFETY: the caller vouches for `rows` rows of 8 values.
                    *register = unsafe { self.load_at(from.add(row * stride)) };
                }
            }
            // SAFETY: token.
            let columns = unsafe { crate::kernels::isa::ymm::transpose_8x8(r) };
            for (column, register) in columns.into_iter().enumerate() {
                // SAFETY: the caller vouches for the places written.
                unsafe { self.store_at(register, to.add(column * step)) };
            }
        }
    };
}

pub(super) use ymm_vocabulary;

use std::arch::x86_64::*;

/// Three rounds of interleaving: 32-bit pairs, 64-bit pairs, 128-bit halves.
///
/// # Safety
/// - AVX may run.
#[allow(unsafe_code, reason = "vendor intrinsics; called with a token in hand")]
#[inline(always)]
pub(super) unsafe fn transpose_8x8(r: [__m256; 8]) -> [__m256; 8] {
    // SAFETY: the caller vouches for AVX; everything stays in registers.
    unsafe {
        let mut t = r;
        for i in 0..4 {
            t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        let mut q = t;
        for i in 0..2 {
            q[4 * i] = _mm256_shuffle_ps::<0x44>(t[4 * i], t[4 * i + 2]);
            q[4 * i + 1] = _mm256_shuffle_ps::<0xee>(t[4 * i], t[4 * i + 2]);
            q[4 * i + 2] = _mm256_shuffle_ps::<0x44>(t[4 * i + 1], t[4 * i + 3]);
            q[4 * i + 3] = _mm256_shuffle_ps::<0xee>(t[4 * i + 1], t[4 * i + 3]);
        }
        let mut out = q;
        for c in 0..4 {
            out[c] = _mm256_permute2f128_ps::<0x20>(q[c], q[4 + c]);
            out[4 + c] = _mm256_permute2f128_ps::<0x31>(q[c], q[4 + c]);
        }
        out
    }
}
