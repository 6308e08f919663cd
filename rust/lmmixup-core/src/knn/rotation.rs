//! A rotation that is the same for every row of a dimension: it changes no product, but spreads a
//! few large values over all places.

/// Values whose transform is done in registers.
const BLOCK: usize = 16;

/// Values that are added side by side.
const LANES: usize = 8;

/// Turns a row: Hadamard transforms of the longest power of two at the front, then at the back.
/// O(D log D); the same bits on every machine.
pub(super) fn rotate(row: &mut [f32]) {
    let Some(log) = row.len().checked_ilog2() else { return };
    let (len, rest) = (1 << log, row.len() - (1 << log));
    hadamard(&mut row[..len]);
    if rest > 0 {
        hadamard(&mut row[rest..]);
    }
}

/// The Hadamard transform of a power of two of values, scaled to keep lengths.
fn hadamard(values: &mut [f32]) {
    let scale = 1.0 / (values.len() as f32).sqrt();
    values.iter_mut().for_each(|value| *value *= scale);
    let mut len = values.len();
    while len > BLOCK {
        // Two steps in one pass over the values, which are more than the registers hold.
        let (step, shorter): (fn(&mut [f32]), usize) =
            if len >= 4 * BLOCK { (quarters, len / 4) } else { (halves, len / 2) };
        values.chunks_exact_mut(len).for_each(step);
        len = shorter;
    }
    let (blocks, few) = values.as_chunks_mut();
    blocks.iter_mut().for_each(block);
    let mut len = few.len();
    while len > 1 {
        few.chunks_exact_mut(len).for_each(halves);
        len /= 2;
    }
}

/// One step: sums in the first half, differences in the second.
fn halves(values: &mut [f32]) {
    let (left, right) = values.split_at_mut(values.len() / 2);
    for (left, right) in left.iter_mut().zip(right) {
        (*left, *right) = (*left + *right, *left - *right);
    }
}

/// Two steps at once, for a multiple of 4 × [`LANES`] values.
fn quarters(values: &mut [f32]) {
    let (front, back) = values.split_at_mut(values.len() / 2);
    let ((a, b), (c, d)) = (front.split_at_mut(front.len() / 2), back.split_at_mut(back.len() / 2));
    let [a, b, c, d] = [a, b, c, d].map(|part| part.as_chunks_mut::<LANES>().0);
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        [*a, *b, *c, *d] = two_steps([*a, *b, *c, *d]);
    }
}

/// The four steps of a block: two, and the same two with rows and columns exchanged.
fn block(values: &mut [f32; BLOCK]) {
    let rows = std::array::from_fn(|row| std::array::from_fn(|at| values[4 * row + at]));
    let rows = transpose(two_steps(transpose(two_steps(rows))));
    values.copy_from_slice(rows.as_flattened());
}

#[inline(always)]
fn two_steps<const N: usize>([a, b, c, d]: [[f32; N]; 4]) -> [[f32; N]; 4] {
    let (p, q, r, s) = (plus(a, c), plus(b, d), minus(a, c), minus(b, d));
    [plus(p, q), minus(p, q), plus(r, s), minus(r, s)]
}

#[inline(always)]
fn plus<const N: usize>(left: [f32; N], right: [f32; N]) -> [f32; N] {
    std::array::from_fn(|at| left[at] + right[at])
}

#[inline(always)]
fn minus<const N: usize>(left: [f32; N], right: [f32; N]) -> [f32; N] {
    std::array::from_fn(|at| left[at] - right[at])
}

#[inline(always)]
fn transpose(rows: [[f32; 4]; 4]) -> [[f32; 4]; 4] {
    std::array::from_fn(|row| std::array::from_fn(|at| rows[at][row]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Step by step, as the transform is defined.
    fn plain(values: &mut [f32]) {
        let scale = 1.0 / (values.len() as f32).sqrt();
        values.iter_mut().for_each(|value| *value *= scale);
        let mut len = values.len();
        while len > 1 {
            values.chunks_exact_mut(len).for_each(halves);
            len /= 2;
        }
    }

    #[test]
    fn all_steps_are_done_whatever_the_length() {
        for log in 0..12 {
            let mut row: Vec<f32> = (0..1_usize << log).map(|at| (at * at % 97) as f32).collect();
            let mut expected = row.clone();
            hadamard(&mut row);
            plain(&mut expected);
            assert_eq!(row, expected, "2^{log} values");
        }
    }

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
