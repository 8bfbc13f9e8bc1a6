//! Views of matrices in slices: sizes and strides, no data of their own.
#![allow(
    unsafe_code,
    reason = "matrices to be written may interleave in one buffer, which slices cannot say"
)]

use std::{marker::PhantomData, ops::Range};

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

    /// The rows `range` of a row-major matrix.
    pub(crate) fn rows(self, range: Range<usize>) -> Matrix<'a> {
        Matrix {
            data: &self.data[range.start * self.row_stride..],
            rows: range.len(),
            ..self
        }
    }

    /// The columns `range`, with any strides.
    pub(crate) fn columns(self, range: Range<usize>) -> Matrix<'a> {
        Matrix {
            data: &self.data[range.start * self.column_stride..],
            columns: range.len(),
            ..self
        }
    }

    /// Row `index` of a row-major matrix.
    pub(crate) fn row(&self, index: usize) -> &'a [f32] {
        &self.data[index * self.row_stride..][..self.columns]
    }

    /// Element `(row, column)`.
    pub fn at(&self, row: usize, column: usize) -> f32 {
        self.data[row * self.row_stride + column * self.column_stride]
    }
}

/// A row-major matrix to be written. Several may interleave in one buffer, as the heads of an attention do.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    pub(crate) data: *mut f32,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for an exclusive borrow of its elements, which are plain values.
unsafe impl Send for MatrixMut<'_> {}

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
        // SAFETY: the check above found every element inside of `data`, which is borrowed exclusively.
        unsafe { MatrixMut::from_raw(data.as_mut_ptr(), rows, columns, row_stride) }
    }

    /// A matrix at `data`.
    ///
    /// # Safety
    /// - Every element is valid for reads and writes for `'a`, and no one else touches an element in that time.
    pub(crate) unsafe fn from_raw(
        data: *mut f32,
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> MatrixMut<'a> {
        MatrixMut {
            data,
            rows,
            columns,
            row_stride,
            owner: PhantomData,
        }
    }

    /// The first row of a matrix that has one.
    pub(crate) fn first_row(self) -> &'a mut [f32] {
        assert!(self.rows > 0, "a matrix without rows");
        // SAFETY: the first `columns` elements are this matrix's own, for `'a`.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.columns) }
    }

    /// All values of a matrix whose rows follow each other without a gap.
    ///
    /// # Panics
    /// When there are gaps.
    pub(crate) fn into_slice(self) -> &'a mut [f32] {
        assert_eq!(self.row_stride, self.columns, "gaps between rows");
        // SAFETY: without gaps these are this matrix's own elements, for `'a`.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.rows * self.columns) }
    }

    /// The first `rows` rows.
    ///
    /// # Panics
    /// When there are fewer.
    pub(crate) fn first_rows(&mut self, rows: usize) -> MatrixMut<'_> {
        assert!(rows <= self.rows, "{rows} rows of {}", self.rows);
        MatrixMut { rows, ..*self }
    }

    /// The same matrix for a shorter time.
    pub(crate) fn reborrow(&mut self) -> MatrixMut<'_> {
        MatrixMut { ..*self }
    }
}
