//! The plain definition, in f64, that every product is compared with.

use super::matrix::Matrix;

/// Element `(i, j)` of `A B`, and the sum of the absolute products, to which rounding errors are relative.
pub(crate) fn element(a: Matrix<'_>, b: Matrix<'_>, i: usize, j: usize) -> (f64, f64) {
    let products = (0..a.columns).map(|k| f64::from(a.at(i, k)) * f64::from(b.at(k, j)));
    products.fold((0.0, 0.0), |(sum, size), product| {
        (sum + product, size + product.abs())
    })
}

/// GELU in its tanh form, and its derivative (Hendrycks and Gimpel, arXiv 1606.08415).
pub(crate) fn gelu(x: f64) -> (f64, f64) {
    let c = (2.0 / std::f64::consts::PI).sqrt();
    let t = (c * (x + 0.044715 * x.powi(3))).tanh();
    let slope = 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * c * (1.0 + 3.0 * 0.044715 * x * x);
    (0.5 * x * (1.0 + t), slope)
}
