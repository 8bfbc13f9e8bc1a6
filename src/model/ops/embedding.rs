//! Token and position embedding: `out[t] = wte[token[t]] + wpe[position of t]`.

use crate::{
    kernels::{
        Cost,
        team::{Parts, Rows, for_parts, for_rows},
        vec::{add, add_assign},
    },
    model::Compute,
};

/// Cost of one pass over `rows` tokens of width `d`.
pub fn cost(rows: usize, d: usize) -> Cost {
    Cost::elementwise(rows * d, 1.0, 2.0, 1.0)
}

/// Shapes: `tokens` rows, `wte` V x d, `wpe` context x d, `out` rows x d, where rows are sequences of `length` tokens.
///
/// # Panics
/// When a token is not in the vocabulary or `length` exceeds the context.
pub fn forward(
    compute: &Compute<'_>,
    tokens: &[u32],
    length: usize,
    wte: &[f32],
    wpe: &[f32],
    out: &mut [f32],
) {
    let d = out.len() / tokens.len();
    for_rows(
        compute.team,
        tokens.len(),
        64,
        [Rows::new(out, d)],
        |range, [out]| {
            for (row, out) in range.zip(out.chunks_exact_mut(d)) {
                let (token, position) = (tokens[row] as usize, row % length);
                add(
                    compute.isa,
                    &wte[token * d..][..d],
                    &wpe[position * d..][..d],
                    out,
                );
            }
        },
    );
}

/// Adds the gradient of the output to those of both tables. Threads share out rows of the tables, and every row is summed in
/// the order of the tokens.
///
/// # Panics
/// When a token is not in the vocabulary or `length` exceeds the context.
pub fn backward(
    compute: &Compute<'_>,
    tokens: &[u32],
    length: usize,
    dout: &[f32],
    dwte: &mut [f32],
    dwpe: &mut [f32],
) {
    let d = dout.len() / tokens.len();
    let (vocabulary, context) = (dwte.len() / d, dwpe.len() / d);
    assert!(
        length <= context,
        "sequences of {length} tokens in a context of {context}"
    );
    assert!(
        tokens.iter().all(|&token| (token as usize) < vocabulary),
        "a token outside of {vocabulary}"
    );
    let share = vocabulary.div_ceil(32);
    for_parts(
        compute.team,
        [Parts::new(dwte, share * d)],
        |part, [table]| {
            for (&token, dout) in tokens.iter().zip(dout.chunks_exact(d)) {
                if let Some(row) = (token as usize)
                    .checked_sub(part * share)
                    .filter(|row| *row < share)
                {
                    add_assign(compute.isa, dout, &mut table[row * d..][..d]);
                }
            }
        },
    );
    for_parts(
        compute.team,
        [Parts::new(&mut dwpe[..length * d], d)],
        |position, [row]| {
            for dout in dout.chunks_exact(d).skip(position).step_by(length) {
                add_assign(compute.isa, dout, row);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::testing::{compute, random};

    #[test]
    fn looks_up_and_scatters() {
        let (d, length) = (70, 3);
        let tokens = [4, 0, 4, 1, 4, 2];
        let (wte, wpe, dout) = (random(5 * d, 1), random(length * d, 2), random(6 * d, 3));
        compute(|compute| {
            let mut out = vec![0.0; 6 * d];
            forward(compute, &tokens, length, &wte, &wpe, &mut out);
            assert_eq!(out[4 * d + 1], wte[4 * d + 1] + wpe[d + 1]);
            let (mut dwte, mut dwpe) = (vec![0.0; 5 * d], vec![0.0; length * d]);
            backward(compute, &tokens, length, &dout, &mut dwte, &mut dwpe);
            assert_eq!(dwte[4 * d + 7], dout[7] + dout[2 * d + 7] + dout[4 * d + 7]);
            assert_eq!(dwpe[2 * d + 69], dout[2 * d + 69] + dout[5 * d + 69]);
            assert!(dwte[3 * d..4 * d].iter().all(|x| *x == 0.0));
        });
    }
}
