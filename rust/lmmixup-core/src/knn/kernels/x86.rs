//! The tables of x86-64.

use super::Kernels;

mod avx2;
mod avx512;
mod hadamard;

static AVX512: Kernels = Kernels {
    name: "avx512-vnni",
    tile: avx512::tile,
    filter: avx512::filter,
    dot: avx512::dot,
    dot_i8: avx512::dot_i8,
    dot_f16: avx512::dot_f16,
    dots_i8: avx512::dots_i8,
    square_length: avx512::square_length,
    hadamard: avx512::hadamard,
    encode: avx512::encode,
};
static AVX2: Kernels = Kernels {
    name: "avx2",
    tile: avx2::tile,
    filter: avx2::filter,
    dot: avx2::dot,
    dot_i8: avx2::dot_i8,
    dot_f16: avx2::dot_f16,
    dots_i8: avx2::dots_i8,
    square_length: avx2::square_length,
    hadamard: avx2::hadamard,
    encode: avx2::encode,
};

fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("fma")
}

fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
}

pub(super) fn best() -> Option<&'static Kernels> {
    if has_avx512() {
        Some(&AVX512)
    } else if has_avx2() {
        Some(&AVX2)
    } else {
        None
    }
}

#[cfg(test)]
pub(super) fn all() -> Vec<&'static Kernels> {
    let both = [(has_avx512(), &AVX512), (has_avx2(), &AVX2)];
    both.into_iter().filter_map(|(there, kernels)| there.then_some(kernels)).collect()
}
