//! A rotation that is the same for every row of a dimension: it changes no product, but spreads a
//! few large values over all places.

use super::kernels::Kernels;

/// Turns a row: Hadamard transforms of the longest power of two at the front, then at the back.
/// O(D log D); the same bits on every machine.
pub(super) fn rotate(row: &mut [f32]) {
    let Some(log) = row.len().checked_ilog2() else { return };
    let (len, rest) = (1 << log, row.len() - (1 << log));
    Kernels::best().hadamard(&mut row[..len]);
    if rest > 0 {
        Kernels::best().hadamard(&mut row[rest..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_stay() {
        for dim in [1, 2, 3, 15, 16, 17, 100, 384, 1000, 1024] {
            let row: Vec<f32> =
                (0..dim).map(|at| (at * 7919 % 1009) as f32 / 504.0 - 1.0).collect();
            let mut turned = row.clone();
            rotate(&mut turned);
            let length = |row: &[f32]| row.iter().map(|value| value * value).sum::<f32>().sqrt();
            assert!((length(&row) / length(&turned) - 1.0).abs() < 1e-5, "{dim}");
        }
        rotate(&mut []);
    }
}
