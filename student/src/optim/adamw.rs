//! Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).

use crate::arena::Role;
use crate::kernels::{self, Moments};
use crate::{Arena, Layout, Real};
use std::ops::Range;

/// The optimiser's state: two running means and a count.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW<F = f32> {
    /// The running mean of the gradient.
    pub first_moment: Arena<F>,
    /// The running mean of the squared gradient.
    pub second_moment: Arena<F>,
    /// The number of updates made.
    pub updates: u64,
}

/// The settings of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// The learning rate η.
    pub learning_rate: f64,
    /// β₁, the memory of the first moment.
    pub beta1: f64,
    /// β₂, the memory of the second moment.
    pub beta2: f64,
    /// ε, added to the root of the second moment.
    pub epsilon: f64,
    /// λ; applies to matrices, not to biases and normalisations.
    pub weight_decay: f64,
    /// The largest norm of the whole gradient; a longer one is shortened to it. Infinite for no clipping.
    pub max_grad_norm: f64,
}

impl Default for AdamWStep {
    fn default() -> Self {
        AdamWStep {
            learning_rate: 1e-4,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            max_grad_norm: 1.0,
        }
    }
}

impl<F: Real> AdamW<F> {
    /// Returns the state before the first update.
    pub fn new(layout: &Layout) -> Self {
        AdamW { first_moment: Arena::zeros(layout), second_moment: Arena::zeros(layout), updates: 0 }
    }

    /// Clips the gradient, updates the parameters and clears the gradient; returns the norm before clipping.
    ///
    /// `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`,
    /// `θ ← θ − η (m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε) + λ θ)`.
    ///
    /// A first moment that moves its parameter no more is at rest, exactly: `m ← 0` and no share in the update where
    /// `|m| ≤ u (√(v / (1 − β₂ᵗ)) + ε)` with the machine epsilon `u`, which is a step of `u η / (1 − β₁ᵗ)` at most.
    /// A `β₂ v` below the smallest normal number is zero.
    ///
    /// A gradient whose norm is not finite is cleared and changes nothing else.
    pub fn update(
        &mut self,
        layout: &Layout,
        params: &mut Arena<F>,
        grads: &mut Arena<F>,
        settings: &AdamWStep,
    ) -> f64 {
        let rows: Vec<u32> = (0..).take(layout.table().map_or(0, |table| table.shape()[0])).collect();
        self.update_rows(layout, params, grads, settings, &rows).0
    }

    /// As [`AdamW::update`], but of the layout's table takes in these rows alone, ascending.
    ///
    /// Returns the norm, and the step that the table's other rows now lack, if one was made.
    pub(super) fn update_rows(
        &mut self,
        layout: &Layout,
        params: &mut Arena<F>,
        grads: &mut Arena<F>,
        settings: &AdamWStep,
        rows: &[u32],
    ) -> (f64, Option<kernels::AdamWStep<F>>) {
        let norm = grad_norm(layout, grads, rows);
        if !norm.is_finite() {
            clear(layout, grads, rows);
            return (norm, None);
        }
        self.updates += 1;
        for entry in layout.entries() {
            let (range, step) = (entry.range(), self.step(settings, norm, entry.decays()));
            let at = self.moments(params, range.clone());
            let grads = &mut grads.data_mut()[range];
            match entry.role {
                Role::Table => kernels::adamw_rows(at, grads, &step, entry.shape[1], rows),
                Role::Matrix | Role::Bias | Role::Scale => kernels::adamw(at, grads, &step),
            }
        }
        (norm, Some(self.step(settings, norm, true)))
    }

    /// Returns a range of the parameters with its moments.
    pub(super) fn moments<'a>(&'a mut self, params: &'a mut Arena<F>, range: Range<usize>) -> Moments<'a, F> {
        Moments {
            params: &mut params.data_mut()[range.clone()],
            m: &mut self.first_moment.data_mut()[range.clone()],
            v: &mut self.second_moment.data_mut()[range],
        }
    }

    /// Combines the numbers of the present update.
    fn step(&self, settings: &AdamWStep, norm: f64, decays: bool) -> kernels::AdamWStep<F> {
        let t = self.updates as f64;
        let decay = if decays { settings.weight_decay } else { 0.0 };
        kernels::AdamWStep {
            // As PyTorch's clip_grad_norm_, which divides by the norm plus 1e-6.
            gradient_scale: F::of((settings.max_grad_norm / (norm + 1e-6)).min(1.0)),
            beta1: F::of(settings.beta1),
            beta2: F::of(settings.beta2),
            step_size: F::of(settings.learning_rate / (1.0 - settings.beta1.powf(t))),
            inverse_bias2: F::of(1.0 / (1.0 - settings.beta2.powf(t))),
            epsilon: F::of(settings.epsilon),
            keep: F::of(1.0 - settings.learning_rate * decay),
        }
    }
}

/// Returns the norm of a gradient whose table is zero but for these rows.
fn grad_norm<F: Real>(layout: &Layout, grads: &Arena<F>, rows: &[u32]) -> f64 {
    let grads = grads.data();
    let Some(table) = layout.table() else { return kernels::squared_norm(grads).sqrt() };
    let (range, [_, columns]) = (table.range(), table.shape());
    let before = kernels::squared_norm(&grads[..range.start]);
    let after = kernels::squared_norm(&grads[range.end..]);
    (before + kernels::squared_norm_rows(&grads[range], columns, rows) + after).sqrt()
}

/// Sets a gradient to zero whose table is zero but for these rows.
fn clear<F: Real>(layout: &Layout, grads: &mut Arena<F>, rows: &[u32]) {
    for entry in layout.entries() {
        let grads = &mut grads.data_mut()[entry.range()];
        match entry.role {
            Role::Table => {
                kernels::for_chosen_rows([grads], entry.shape[1], rows, |_, [row]| row.fill(F::zero()));
            }
            Role::Matrix | Role::Bias | Role::Scale => grads.fill(F::zero()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::{random, uniform};

    /// The formula as it is written, one number at a time.
    struct Formula {
        theta: f64,
        m: f64,
        v: f64,
    }

    impl Formula {
        fn update(&mut self, g: f64, t: i32, s: &AdamWStep, decay: f64) {
            self.m = s.beta1 * self.m + (1.0 - s.beta1) * g;
            self.v = s.beta2 * self.v + (1.0 - s.beta2) * g * g;
            let (m, v) = (self.m / (1.0 - s.beta1.powi(t)), self.v / (1.0 - s.beta2.powi(t)));
            self.theta -= s.learning_rate * (m / (v.sqrt() + s.epsilon) + decay * self.theta);
        }
    }

    #[test]
    fn the_update_is_the_formula_with_and_without_a_gradient() {
        let mut layout = Layout::default();
        let mut scope = layout.scope("");
        scope.matrix("m", 3, 5);
        scope.table("t", 4, 5);
        scope.bias("b", 5);
        let (mut params, mut grads) = (random(&layout, 0.5, 1).cast::<f64>(), Arena::zeros(&layout));
        let settings =
            AdamWStep { learning_rate: 1e-2, max_grad_norm: f64::INFINITY, ..AdamWStep::default() };
        let mut formulas: Vec<Formula> =
            params.data().iter().map(|&theta| Formula { theta, m: 0.0, v: 0.0 }).collect();
        let mut optimizer = AdamW::new(&layout);
        for t in 1..=600 {
            for (i, formula) in formulas.iter_mut().enumerate() {
                // A number in eight has a gradient only in the first updates: its momentum comes to rest.
                let g = if i % 8 == 0 && t > 9 { 0.0 } else { uniform(t as u64, i as u64) - 0.5 };
                grads.data_mut()[i] = g;
                formula.update(g, t, &settings, if i < 35 { settings.weight_decay } else { 0.0 });
            }
            optimizer.update(&layout, &mut params, &mut grads, &settings);
        }
        for (i, (theta, formula)) in params.data().iter().zip(&formulas).enumerate() {
            assert!((theta - formula.theta).abs() < 1e-12, "{i}: {theta} instead of {}", formula.theta);
        }
        assert!(optimizer.first_moment.data().iter().step_by(8).all(|&m| m == 0.0));
    }
}
