//! Dropout (Srivastava et al. 2014), with masks that are drawn again instead of stored.

use crate::architecture::Mode;
use crate::kernels::{self, Mask};
use crate::{Error, Real};
use ndarray::Array2;

/// Zeroes elements with probability `rate` while training, and scales the others so that the mean stays.
pub struct Dropout {
    rate: f64,
    site: u32,
}

/// Numbers the dropout layers of a model, so that no two of them share a mask.
#[derive(Default)]
pub struct Sites(u32);

/// What the backward pass of a [`Dropout`] needs: how to draw its mask again.
pub struct DropoutSaved {
    mask: Option<Mask>,
}

impl Dropout {
    /// Makes the next dropout layer of a model. `rate`: in [0, 1), rounded to a multiple of 2⁻¹⁶.
    pub fn new(rate: f64, sites: &mut Sites) -> Self {
        let site = sites.0;
        sites.0 += 1;
        Dropout { rate, site }
    }

    /// Returns an error when `rate` is no probability below one.
    pub fn check(name: &str, rate: f64) -> Result<(), Error> {
        if (0.0..1.0).contains(&rate) {
            Ok(())
        } else {
            Err(Error::Config(format!("`{name}` is `{rate}`; a dropout rate is at least 0 and below 1")))
        }
    }

    /// `y = x m / (1 − rate)` with `m` 0 or 1 while training, `y = x` otherwise.  `x`, `y`: [N, H].
    pub fn forward<F: Real>(&self, x: Array2<F>, mode: Mode) -> (Array2<F>, DropoutSaved) {
        let saved = DropoutSaved { mask: self.mask(mode) };
        (saved.apply(x), saved)
    }

    /// Returns the mask to apply, or `None` when nothing is dropped.
    pub(crate) fn mask(&self, mode: Mode) -> Option<Mask> {
        match mode {
            Mode::Train(key) if self.rate > 0.0 => Some(Mask::new(key, self.site, self.rate)),
            _ => None,
        }
    }
}

impl DropoutSaved {
    /// `dx = dy m / (1 − rate)`.  `d_y`, `d_x`: [N, H].
    pub fn backward<F: Real>(self, d_y: Array2<F>) -> Array2<F> {
        self.apply(d_y)
    }

    fn apply<F: Real>(&self, mut x: Array2<F>) -> Array2<F> {
        if let Some(mask) = self.mask {
            kernels::drop_out(&mut x, mask);
        }
        x
    }
}
