//! Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).

use crate::kernels;
use crate::{Arena, Layout, Real};

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
    /// A gradient whose norm is not finite is cleared and changes nothing else.
    pub fn update(
        &mut self,
        layout: &Layout,
        params: &mut Arena<F>,
        grads: &mut Arena<F>,
        step: &AdamWStep,
    ) -> f64 {
        let norm = kernels::squared_norm(grads.data()).sqrt();
        if !norm.is_finite() {
            grads.data_mut().fill(F::zero());
            return norm;
        }
        self.updates += 1;
        let t = self.updates as f64;
        let combined = |decay: f64| kernels::AdamWStep {
            // As PyTorch's clip_grad_norm_, which divides by the norm plus 1e-6.
            gradient_scale: F::of((step.max_grad_norm / (norm + 1e-6)).min(1.0)),
            beta1: F::of(step.beta1),
            beta2: F::of(step.beta2),
            step_size: F::of(step.learning_rate / (1.0 - step.beta1.powf(t))),
            inverse_bias2: F::of(1.0 / (1.0 - step.beta2.powf(t))),
            epsilon: F::of(step.epsilon),
            keep: F::of(1.0 - step.learning_rate * decay),
        };
        for entry in layout.entries() {
            let range = entry.range();
            kernels::adamw(
                &mut params.data_mut()[range.clone()],
                &mut grads.data_mut()[range.clone()],
                &mut self.first_moment.data_mut()[range.clone()],
                &mut self.second_moment.data_mut()[range],
                combined(if entry.decays() { step.weight_decay } else { 0.0 }),
            );
        }
        norm
    }
}
