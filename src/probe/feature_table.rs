//! Where each instruction set is announced, and the register state that it needs.
//!
//! Bits: Intel SDM volume 2A (CPUID) and the Instruction Set Extensions reference; AMD APM volume 3. To add one, add its row.

use super::features::Group::{self, Amx, Avx, Avx512, Base as Scalar, Crypto};
use super::features::State::{self, Base, Egpr, Tiles, Ymm, Zmm};
use Register::{Eax, Ebx, Ecx, Edx};

/// A register of CPUID's answer.
#[derive(Clone, Copy)]
pub(super) enum Register {
    Ebx,
    Ecx,
    Edx,
    Eax,
}

/// A row: Linux' name, a person's name, group, leaf, subleaf, register, bit, needed state.
pub(super) type Row = (
    &'static str,
    &'static str,
    Group,
    u32,
    u32,
    Register,
    u32,
    State,
);

/// Every instruction set that the probe names.
pub(super) const TABLE: &[Row] = &[
    ("sse", "SSE", Scalar, 0x1, 0, Edx, 25, Base),
    ("sse2", "SSE2", Scalar, 0x1, 0, Edx, 26, Base),
    ("pni", "SSE3", Scalar, 0x1, 0, Ecx, 0, Base),
    ("ssse3", "SSSE3", Scalar, 0x1, 0, Ecx, 9, Base),
    ("sse4_1", "SSE4.1", Scalar, 0x1, 0, Ecx, 19, Base),
    ("sse4_2", "SSE4.2", Scalar, 0x1, 0, Ecx, 20, Base),
    ("sse4a", "SSE4a", Scalar, 0x8000_0001, 0, Ecx, 6, Base),
    ("popcnt", "POPCNT", Scalar, 0x1, 0, Ecx, 23, Base),
    ("abm", "LZCNT", Scalar, 0x8000_0001, 0, Ecx, 5, Base),
    ("bmi1", "BMI1", Scalar, 0x7, 0, Ebx, 3, Base),
    ("bmi2", "BMI2", Scalar, 0x7, 0, Ebx, 8, Base),
    ("movbe", "MOVBE", Scalar, 0x1, 0, Ecx, 22, Base),
    ("adx", "ADX", Scalar, 0x7, 0, Ebx, 19, Base),
    ("erms", "ERMS", Scalar, 0x7, 0, Ebx, 9, Base),
    ("fsrm", "FSRM", Scalar, 0x7, 0, Edx, 4, Base),
    ("apx", "APX", Scalar, 0x7, 1, Edx, 21, Egpr),
    ("avx", "AVX", Avx, 0x1, 0, Ecx, 28, Ymm),
    ("f16c", "F16C", Avx, 0x1, 0, Ecx, 29, Ymm),
    ("fma", "FMA", Avx, 0x1, 0, Ecx, 12, Ymm),
    ("fma4", "FMA4", Avx, 0x8000_0001, 0, Ecx, 16, Ymm),
    ("avx2", "AVX2", Avx, 0x7, 0, Ebx, 5, Ymm),
    ("avx_vnni", "AVX-VNNI", Avx, 0x7, 1, Eax, 4, Ymm),
    ("avx_ifma", "AVX-IFMA", Avx, 0x7, 1, Eax, 23, Ymm),
    ("avx_vnni_int8", "AVX-VNNI-INT8", Avx, 0x7, 1, Edx, 4, Ymm),
    (
        "avx_vnni_int16",
        "AVX-VNNI-INT16",
        Avx,
        0x7,
        1,
        Edx,
        10,
        Ymm,
    ),
    ("avx_ne_convert", "AVX-NE-CONVERT", Avx, 0x7, 1, Edx, 5, Ymm),
    ("avx512f", "F", Avx512, 0x7, 0, Ebx, 16, Zmm),
    ("avx512dq", "DQ", Avx512, 0x7, 0, Ebx, 17, Zmm),
    ("avx512cd", "CD", Avx512, 0x7, 0, Ebx, 28, Zmm),
    ("avx512bw", "BW", Avx512, 0x7, 0, Ebx, 30, Zmm),
    ("avx512vl", "VL", Avx512, 0x7, 0, Ebx, 31, Zmm),
    ("avx512ifma", "IFMA", Avx512, 0x7, 0, Ebx, 21, Zmm),
    ("avx512vbmi", "VBMI", Avx512, 0x7, 0, Ecx, 1, Zmm),
    ("avx512_vbmi2", "VBMI2", Avx512, 0x7, 0, Ecx, 6, Zmm),
    ("avx512_vnni", "VNNI", Avx512, 0x7, 0, Ecx, 11, Zmm),
    ("avx512_bitalg", "BITALG", Avx512, 0x7, 0, Ecx, 12, Zmm),
    (
        "avx512_vpopcntdq",
        "VPOPCNTDQ",
        Avx512,
        0x7,
        0,
        Ecx,
        14,
        Zmm,
    ),
    (
        "avx512_vp2intersect",
        "VP2INTERSECT",
        Avx512,
        0x7,
        0,
        Edx,
        8,
        Zmm,
    ),
    ("avx512_bf16", "BF16", Avx512, 0x7, 1, Eax, 5, Zmm),
    ("avx512_fp16", "FP16", Avx512, 0x7, 0, Edx, 23, Zmm),
    ("avx512_4vnniw", "4VNNIW", Avx512, 0x7, 0, Edx, 2, Zmm),
    ("avx512_4fmaps", "4FMAPS", Avx512, 0x7, 0, Edx, 3, Zmm),
    ("avx10", "AVX10", Avx512, 0x7, 1, Edx, 19, Zmm),
    ("amx_tile", "TILE", Amx, 0x7, 0, Edx, 24, Tiles),
    ("amx_int8", "INT8", Amx, 0x7, 0, Edx, 25, Tiles),
    ("amx_bf16", "BF16", Amx, 0x7, 0, Edx, 22, Tiles),
    ("amx_fp16", "FP16", Amx, 0x7, 1, Eax, 21, Tiles),
    ("amx_complex", "COMPLEX", Amx, 0x7, 1, Edx, 8, Tiles),
    ("aes", "AES", Crypto, 0x1, 0, Ecx, 25, Base),
    ("pclmulqdq", "PCLMULQDQ", Crypto, 0x1, 0, Ecx, 1, Base),
    ("gfni", "GFNI", Crypto, 0x7, 0, Ecx, 8, Base),
    ("sha_ni", "SHA", Crypto, 0x7, 0, Ebx, 29, Base),
    ("vaes", "VAES", Crypto, 0x7, 0, Ecx, 9, Ymm),
    ("vpclmulqdq", "VPCLMULQDQ", Crypto, 0x7, 0, Ecx, 10, Ymm),
    ("sha512", "SHA512", Crypto, 0x7, 1, Eax, 0, Ymm),
];
