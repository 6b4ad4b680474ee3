//! The directions along which rows extend furthest.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// Rows that are summed at once.
pub const BLOCK: usize = 4096;

/// Some directions of a space, and how far rows extend along each of them.
pub struct Directions {
    /// Orthonormal columns, [wide, narrow].
    pub axes: Array2<f64>,
    /// The sum of squares of the rows' coordinates along each, [narrow].
    pub energies: Array1<f64>,
}

/// Returns the sum of the outer products of rows with themselves, [H, H]. `rows`: [N, H].
pub fn gram(rows: ArrayView2<'_, f32>) -> Array2<f64> {
    let mut gram = Array2::zeros((rows.ncols(), rows.ncols()));
    for rows in rows.axis_chunks_iter(Axis(0), BLOCK) {
        let rows = rows.mapv(f64::from);
        gram += &rows.t().dot(&rows);
    }
    gram
}

impl Directions {
    /// Returns the `width` directions along which rows extend furthest whose outer products sum up to `gram`: its
    /// eigenvectors with the largest eigenvalues, which are the rows' leading right singular vectors. Where all are kept,
    /// they are the axes themselves.
    pub fn leading(gram: &Array2<f64>, width: usize) -> Self {
        let wide = gram.nrows();
        if width == wide {
            return Directions { axes: Array2::eye(wide), energies: gram.diag().to_owned() };
        }
        let eigen = SymmetricEigen::new(DMatrix::from_fn(wide, wide, |i, j| gram[[i, j]]));
        let energies: Array1<f64> = eigen.eigenvalues.iter().copied().collect();
        let chosen = largest(&energies, width);
        Directions {
            axes: Array2::from_shape_fn((wide, width), |(i, j)| eigen.eigenvectors[(i, chosen[j])]),
            energies: energies.select(Axis(0), &chosen).mapv(|energy| energy.max(0.0)),
        }
    }

    /// Turns the axes so that what a normalisation of their coordinates takes away, their mean, is what the last of them
    /// says, which is the least: by one reflection, of the last axis to the diagonal. `gram`: what they were made of.
    pub fn spared(self, gram: &Array2<f64>) -> Self {
        let (wide, width) = self.axes.dim();
        if width == wide || width == 1 {
            return self;
        }
        let mut across = Array1::from_elem(width, -1.0 / (width as f64).sqrt());
        across[width - 1] += 1.0;
        let turned = self.axes.dot(&across) * (2.0 / across.dot(&across));
        let axes = self.axes - outer(&turned, &across);
        let energies = (gram.dot(&axes) * &axes).sum_axis(Axis(0));
        Directions { axes, energies }
    }
}

/// Returns the places of the `count` largest numbers, the largest first.
pub fn largest(numbers: &Array1<f64>, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[b].total_cmp(&numbers[a]).then(a.cmp(&b)));
    order.truncate(count);
    order
}

fn outer(column: &Array1<f64>, row: &Array1<f64>) -> Array2<f64> {
    let column = column.view().insert_axis(Axis(1));
    column.dot(&row.view().insert_axis(Axis(0)))
}
