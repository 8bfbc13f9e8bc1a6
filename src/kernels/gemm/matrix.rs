//! Views of matrices in slices: sizes and strides, no data of their own.

/// A read-only matrix: element `(i, j)` is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A dense row-major matrix.
    ///
    /// # Panics
    /// When `data` is shorter than `rows * columns`.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Matrix<'a> {
        Matrix::with_stride(data, rows, columns, columns)
    }

    /// A row-major matrix whose rows are `row_stride` values apart.
    ///
    /// # Panics
    /// When the last element lies outside of `data`.
    pub fn with_stride(
        data: &'a [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Matrix<'a> {
        assert!(
            row_stride >= columns,
            "rows of {columns} values overlap at stride {row_stride}"
        );
        if rows > 0 && columns > 0 {
            let needed = (rows - 1) * row_stride + columns;
            assert!(
                data.len() >= needed,
                "{rows} x {columns} needs {needed} values, got {}",
                data.len()
            );
        }
        Matrix {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// The transpose, without moving anything.
    pub fn transposed(self) -> Matrix<'a> {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Element `(row, column)`.
    pub fn at(&self, row: usize, column: usize) -> f32 {
        self.data[row * self.row_stride + column * self.column_stride]
    }
}

/// A row-major matrix to be written.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// A dense row-major matrix.
    ///
    /// # Panics
    /// When `data` is shorter than `rows * columns`.
    pub fn new(data: &'a mut [f32], rows: usize, columns: usize) -> MatrixMut<'a> {
        MatrixMut::with_stride(data, rows, columns, columns)
    }

    /// A row-major matrix whose rows are `row_stride` values apart.
    ///
    /// # Panics
    /// When the last element lies outside of `data`.
    pub fn with_stride(
        data: &'a mut [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> MatrixMut<'a> {
        let _ = Matrix::with_stride(data, rows, columns, row_stride);
        MatrixMut {
            data,
            rows,
            columns,
            row_stride,
        }
    }
}
