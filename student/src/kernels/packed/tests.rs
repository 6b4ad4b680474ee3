//! Products of packed factors against the definition, in both formats, on every unit of the processor.

use super::*;
use crate::Real;
use crate::gradcheck::noise2;
use crate::kernels::Precision;
use crate::kernels::Threads;
use ndarray::{Array2, ArrayView2};
use proptest::prelude::*;

/// bfloat16: two factors are rounded by half a unit of 2⁻⁷ each; sums in `f32` add little.
const ROUNDED: f64 = 1.0 / 128.0;

/// Sums of some hundred numbers in `f32` and in `f64`, which are added in pieces.
const SINGLE: f64 = 1e-5;
const DOUBLE: f64 = 1e-14;

/// The units for `f32`, each with the bound of its error relative to `Σ |a| |b|`.
fn units() -> Vec<(Unit, f64)> {
    let native = native::Unit::available().into_iter().map(|unit| (Unit::Native(unit), SINGLE));
    native.chain(bf16::Unit::available().into_iter().map(|unit| (Unit::Bf16(unit), ROUNDED))).collect()
}

/// Checks `|product − exact| ≤ bound Σ |a| |b|` for each element.
fn check<F: Real>(a: ArrayView2<'_, F>, b: ArrayView2<'_, F>, product: &Array2<F>, bound: f64) {
    let wide = |x: ArrayView2<'_, F>| x.mapv(F::f64);
    let (exact, size) = (wide(a).dot(&wide(b)), wide(a).mapv(f64::abs).dot(&wide(b).mapv(f64::abs)));
    for ((&p, &exact), &size) in product.iter().zip(&exact).zip(&size) {
        assert!((p.f64() - exact).abs() <= bound * size + 1e-30, "{p} is not {exact}");
    }
}

fn all_products<F: Real>(unit: Unit, bound: f64, [m, k, n]: [usize; 3]) {
    let (x, w) = (noise2::<F>([m, k], 1), noise2::<F>([n, k], 2));
    let d_y = noise2::<F>([m, n], 3);
    let bias: Vec<F> = (0..n).map(|i| F::of(i as f64)).collect();
    let (activation, gradient) = (Activation::pack(unit, x.view()), Gradient::pack(unit, d_y.view()));

    let right = pack(unit, w.view(), Order::RightTransposed);
    let y = new_product(&activation.left, &right, [m, n], None);
    check(x.view(), w.t(), &y, bound);
    let shifted = new_product(&activation.left, &right, [m, n], Some(&bias));
    for (y, shifted) in y.rows().into_iter().zip(shifted.rows()) {
        y.iter().zip(shifted).zip(&bias).for_each(|((&y, shifted), &bias)| assert_eq!(y + bias, *shifted));
    }

    let right = pack(unit, w.view(), Order::Right);
    let d_x = new_product(&gradient.left, &right, [m, k], None);
    check(d_y.view(), w.view(), &d_x, bound);

    let mut d_w = Array2::from_elem([n, k], F::one());
    product_onto(&gradient.transposed, &activation.right, d_w.view_mut(), Onto::Nothing);
    check(d_y.t(), x.view(), &d_w, bound);
    let once = d_w.clone();
    product_onto(&gradient.transposed, &activation.right, d_w.view_mut(), Onto::Sum);
    assert_eq!(d_w, &once + &once);

    let sums = gradient.column_sums();
    for (&sum, column) in sums.iter().zip(d_y.columns()) {
        assert!((sum - column.sum()).abs().f64() < 1e-4, "{sum} is not {}", column.sum());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn products_are_near_the_definition_for_every_shape(m in 1_usize..150, k in 1_usize..150, n in 1_usize..150) {
        units().into_iter().for_each(|(unit, bound)| all_products::<f32>(unit, bound, [m, k, n]));
        all_products::<f64>(Unit::of::<f64>(Precision::F32), DOUBLE, [m, k, n]);
    }
}

#[test]
fn deep_products_are_near_the_definition() {
    for (unit, bound) in units() {
        all_products::<f32>(unit, bound, [65, 1030, 33]);
        all_products::<f32>(unit, bound, [1030, 65, 312]);
    }
}

#[test]
fn products_of_nothing_are_zero() {
    for (unit, _) in units() {
        let (left, right) = (Array2::<f32>::zeros([5, 0]), Array2::<f32>::zeros([0, 40]));
        let (left, right) = (pack(unit, left.view(), Order::Left), pack(unit, right.view(), Order::Right));
        assert_eq!(left.strips(), 1, "{unit:?}");
        assert_eq!(new_product(&left, &right, [5, 40], None), Array2::<f32>::zeros([5, 40]), "{unit:?}");
        all_products::<f32>(unit, 0.0, [0, 3, 40]);
    }
}

/// Sums are fused and in one order, whatever the width of the vectors.
#[test]
fn units_with_fused_multiplication_give_the_same_bits() {
    let (x, w) = (noise2::<f32>([70, 311], 1), noise2::<f32>([203, 311], 2));
    let product = |unit| {
        let unit = Unit::Native(unit);
        let (left, right) = (pack(unit, x.view(), Order::Left), pack(unit, w.view(), Order::RightTransposed));
        new_product(&left, &right, [70, 203], None)
    };
    let fused = native::Unit::available().into_iter().filter(|&unit| unit != native::Unit::Portable);
    fused.clone().zip(fused.skip(1)).for_each(|(a, b)| assert_eq!(product(a), product(b), "{a:?}, {b:?}"));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (x, w) = (noise2::<f32>([517, 311], 1), noise2::<f32>([203, 311], 2));
    for (unit, _) in units() {
        let with = |threads| {
            let pool = Threads::new(threads).expect("a pool starts");
            pool.run(|| {
                let (left, right) =
                    (pack(unit, x.view(), Order::Left), pack(unit, w.view(), Order::RightTransposed));
                new_product(&left, &right, [517, 203], None)
            })
        };
        let one = with(1);
        for threads in (2..=8).chain([24]) {
            assert_eq!(one, with(threads), "{unit:?}, {threads} threads");
        }
    }
}

#[test]
fn what_is_no_number_stays_none_and_reaches_its_row_alone() {
    for (unit, _) in units() {
        for (bad, expected) in [(f32::NAN, f32::NAN), (f32::INFINITY, f32::INFINITY)] {
            let mut x = Array2::<f32>::ones([40, 50]);
            x[[33, 7]] = bad;
            let w = Array2::<f32>::ones([35, 50]);
            let (left, right) =
                (pack(unit, x.view(), Order::Left), pack(unit, w.view(), Order::RightTransposed));
            let y = new_product(&left, &right, [40, 35], None);
            for ((row, _), y) in y.indexed_iter() {
                let right = if row != 33 {
                    *y == 50.0
                } else {
                    y.to_bits() & 0x7f80_0000 == expected.to_bits() & 0x7f80_0000
                };
                assert!(right, "{unit:?}: row {row} holds {y}");
            }
        }
    }
}

#[test]
fn an_activation_in_the_product_is_the_activation_after_it() {
    let (m, k, n) = (70, 45, 100);
    let (x, w) = (noise2::<f32>([m, k], 1), noise2::<f32>([n, k], 2));
    let bias: Vec<f32> = (0..n).map(|i| 0.01 * i as f32).collect();
    for (unit, bound) in units() {
        let left = pack(unit, x.view(), Order::Left);
        let right = pack(unit, w.view(), Order::RightTransposed);
        let plain = new_product(&left, &right, [m, n], Some(&bias));
        // SAFETY: the product below writes every square.
        let (mut value, mut derivative) =
            unsafe { (Activation::uninit(unit, [m, n]), Derivative::uninit(unit, [m, n])) };
        product(&left, &right, &Gelu::new(&bias, &mut value, &mut derivative));
        let identity = pack(unit, Array2::<f32>::eye(n).view(), Order::Right);
        let values = new_product(&value.left, &identity, [m, n], None);
        let ones = pack(unit, Array2::<f32>::ones([m, n]).view(), Order::Left);
        // SAFETY: as above.
        let mut gradient = unsafe { Gradient::uninit(unit, [m, n]) };
        product(&ones, &identity, &Multiply::new(&derivative, &mut gradient));
        let derivatives = new_product(&gradient.left, &identity, [m, n], None);
        for ((&x, &value), &derivative) in plain.iter().zip(&values).zip(&derivatives) {
            let (cdf, density) = Real::normal(f64::from(x));
            let exact = [f64::from(x) * cdf, cdf + f64::from(x) * density];
            for (found, exact) in [value, derivative].into_iter().zip(exact) {
                assert!(
                    (f64::from(found) - exact).abs() < bound * exact.abs() + 1e-5,
                    "{found} is not {exact}"
                );
            }
        }
    }
}
