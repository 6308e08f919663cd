//! The Hadamard transform in plain Rust, step by step: what every instruction set has the bits of.

/// Values whose transform is done in registers.
const BLOCK: usize = 16;

/// Values that are added side by side.
const LANES: usize = 8;

/// # Safety
/// None needed; unsafe to have the type of the table.
pub(in super::super) unsafe fn hadamard(values: &mut [f32]) {
    let scale = 1.0 / (values.len() as f32).sqrt();
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
    values.iter_mut().for_each(|value| *value *= scale);
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
    use super::halves;
    use crate::knn::kernels::Kernels;

    /// Step by step, as the transform is defined.
    fn plain(values: &mut [f32]) {
        let scale = 1.0 / (values.len() as f32).sqrt();
        let mut len = values.len();
        while len > 1 {
            values.chunks_exact_mut(len).for_each(halves);
            len /= 2;
        }
        values.iter_mut().for_each(|value| *value *= scale);
    }

    #[test]
    fn every_instruction_set_does_all_steps_whatever_the_length() {
        for log in 0..13 {
            let row: Vec<f32> = (0..1_usize << log).map(|at| (at * at % 97) as f32 / 7.0).collect();
            let mut expected = row.clone();
            plain(&mut expected);
            for kernels in Kernels::all() {
                let mut values = row.clone();
                kernels.hadamard(&mut values);
                assert_eq!(values, expected, "{} 2^{log} values", kernels.name);
            }
        }
    }
}
