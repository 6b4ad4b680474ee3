//! The same loop, compiled for the vector units of the machine it runs on.
//!
//! A loop written over slices is compiled three times: for the baseline, for AVX2 and for AVX-512; the best one that the
//! processor has is chosen at run time. Rust never contracts or reorders floating-point operations, so all three give
//! the same bits, but for [`Unit::mul_add`], which rounds once where the processor can: between machines bits may differ,
//! on one machine never.

use crate::Real;

/// Runs `work`, compiled for the widest vector unit that the processor has.
///
/// `work` should be one closure around a plain loop over slices, without calls that cannot be inlined. A long one needs
/// `#[inline(always)]`: what the compiler leaves outside is compiled for the baseline.
#[inline]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    on_best_unit(Plain(work))
}

/// Runs `work` on the widest vector unit that the processor has.
#[inline]
pub(crate) fn on_best_unit<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(unit) = Avx512::detect() {
            return unit.run(work);
        }
        if let Some(unit) = Avx2::detect() {
            return unit.run(work);
        }
    }
    Baseline.run(work)
}

/// A computation that is compiled once for each vector unit.
pub(crate) trait Work {
    /// What the computation returns.
    type Output;

    /// Computes. Implementations are `#[inline(always)]`: only what is inlined is compiled for the unit.
    fn on<U: Unit>(self, unit: U) -> Self::Output;
}

/// A vector unit. Whoever holds one may use it: it was found in this processor.
pub(crate) trait Unit: Copy {
    /// The runs of 16 `f32` whose sums fit into the registers, beside what they are made of.
    const SUMS: usize;

    /// Returns `a b + c`, rounded once where that is one instruction, and twice elsewhere.
    fn mul_add<F: Real>(self, a: F, b: F, c: F) -> F;

    /// Runs `work` as a function compiled for this unit.
    fn run<W: Work>(self, work: W) -> W::Output;
}

/// What every processor of this architecture has.
#[derive(Clone, Copy)]
pub(crate) struct Baseline;

impl Unit for Baseline {
    const SUMS: usize = if cfg!(target_arch = "aarch64") { 6 } else { 2 };

    #[inline(always)]
    fn mul_add<F: Real>(self, a: F, b: F, c: F) -> F {
        // Without the instruction, `mul_add` would be a call into the C library.
        if cfg!(any(target_feature = "fma", target_arch = "aarch64")) { a.mul_add(b, c) } else { a * b + c }
    }

    #[inline]
    fn run<W: Work>(self, work: W) -> W::Output {
        work.on(self)
    }
}

macro_rules! x86_unit {
    ($unit:ident, $function:ident, $sums:literal, $features:literal, [$($feature:tt),*]) => {
        #[doc = concat!("A processor with ", $features, ".")]
        #[cfg(target_arch = "x86_64")]
        #[derive(Clone, Copy)]
        pub(crate) struct $unit(());

        #[cfg(target_arch = "x86_64")]
        impl $unit {
            /// Returns the unit if this processor has it.
            #[inline]
            pub(crate) fn detect() -> Option<Self> {
                let has = $(std::arch::is_x86_feature_detected!($feature))&&*;
                has.then_some($unit(()))
            }
        }

        #[cfg(target_arch = "x86_64")]
        impl Unit for $unit {
            const SUMS: usize = $sums;

            #[inline(always)]
            fn mul_add<F: Real>(self, a: F, b: F, c: F) -> F {
                a.mul_add(b, c)
            }

            #[inline]
            fn run<W: Work>(self, work: W) -> W::Output {
                // SAFETY: a unit is made only by `detect`, which has asked the processor for every feature that the
                // function is compiled with.
                unsafe { $function(self, work) }
            }
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        fn $function<W: Work>(unit: $unit, work: W) -> W::Output {
            work.on(unit)
        }
    };
}

x86_unit!(
    Avx512,
    avx512,
    24,
    "avx512f,avx512bw,avx512dq,avx512vl,fma",
    ["avx512f", "avx512bw", "avx512dq", "avx512vl", "fma"]
);
x86_unit!(Avx2, avx2, 6, "avx2,fma", ["avx2", "fma"]);

/// Work that does not ask which unit it runs on.
struct Plain<C>(C);

impl<R, C: FnOnce() -> R> Work for Plain<C> {
    type Output = R;

    #[inline(always)]
    fn on<U: Unit>(self, _: U) -> R {
        (self.0)()
    }
}

/// Returns which of the vector units that matter here the processor has.
pub fn cpu_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let found = [
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("fma", std::arch::is_x86_feature_detected!("fma")),
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
            ("avx512bf16", std::arch::is_x86_feature_detected!("avx512bf16")),
            ("avxvnni", std::arch::is_x86_feature_detected!("avxvnni")),
            ("avx512vnni", std::arch::is_x86_feature_detected!("avx512vnni")),
        ];
        found.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        vec![std::env::consts::ARCH]
    }
}
