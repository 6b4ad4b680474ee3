//! Products in bfloat16 against the definition, on every unit of the processor.

use super::*;
use crate::gradcheck::noise2;
use crate::kernels::{Onto, Pool};
use ndarray::{Array2, ArrayView2};
use proptest::prelude::*;

/// Two factors are rounded by half a unit of 2⁻⁷ each; sums in `f32` add little.
const RELATIVE: f64 = 1.0 / 128.0;

/// Checks `|product − exact| ≤ 2⁻⁷ Σ |a| |b|` for each element.
fn check(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, product: &Array2<f32>) {
    let wide = |x: ArrayView2<'_, f32>| x.mapv(f64::from);
    let (exact, size) = (wide(a).dot(&wide(b)), wide(a).mapv(f64::abs).dot(&wide(b).mapv(f64::abs)));
    for ((&p, &exact), &size) in product.iter().zip(&exact).zip(&size) {
        assert!((f64::from(p) - exact).abs() <= RELATIVE * size + 1e-30, "{p} is not {exact}");
    }
}

fn all_products(unit: Unit, [m, k, n]: [usize; 3]) {
    let (x, w) = (noise2::<f32>([m, k], 1), noise2::<f32>([n, k], 2));
    let d_y = noise2::<f32>([m, n], 3);
    let bias: Vec<f32> = (0..n).map(|i| i as f32).collect();
    let (activation, gradient) = (Activation::pack(unit, x.view()), Gradient::pack(unit, d_y.view()));

    let right = pack(unit, w.view(), Order::RightTransposed);
    let y = new_product(unit, &activation.left, &right, [m, n], None);
    check(x.view(), w.t(), &y);
    let shifted = new_product(unit, &activation.left, &right, [m, n], Some(&bias));
    for (y, shifted) in y.rows().into_iter().zip(shifted.rows()) {
        y.iter().zip(shifted).zip(&bias).for_each(|((y, shifted), bias)| assert_eq!(y + bias, *shifted));
    }

    let right = pack(unit, w.view(), Order::Right);
    let d_x = new_product(unit, &gradient.left, &right, [m, k], None);
    check(d_y.view(), w.view(), &d_x);

    let mut d_w = Array2::from_elem([n, k], 1.0);
    product_onto(unit, &gradient.transposed, &activation.right, d_w.view_mut(), Onto::Sum);
    check(d_y.t(), x.view(), &(d_w - 1.0));

    let sums = gradient.column_sums();
    for (sum, column) in sums.iter().zip(d_y.columns()) {
        assert!((sum - column.sum()).abs() < 1e-4, "{sum} is not {}", column.sum());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn products_are_near_the_definition_for_every_shape(m in 1_usize..150, k in 1_usize..150, n in 1_usize..150) {
        Unit::available().into_iter().for_each(|unit| all_products(unit, [m, k, n]));
    }
}

#[test]
fn deep_products_are_near_the_definition() {
    for unit in Unit::available() {
        all_products(unit, [65, 1030, 33]);
        all_products(unit, [1030, 65, 312]);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (x, w) = (noise2::<f32>([517, 311], 1), noise2::<f32>([203, 311], 2));
    for unit in Unit::available() {
        let with = |threads| {
            let pool = Pool::new(threads).expect("a pool starts");
            pool.run(|| {
                let (left, right) =
                    (pack(unit, x.view(), Order::Left), pack(unit, w.view(), Order::RightTransposed));
                new_product(unit, &left, &right, [517, 203], None)
            })
        };
        let one = with(1);
        for threads in [2, 3, 8] {
            assert_eq!(one, with(threads), "{unit:?}, {threads} threads");
        }
    }
}

#[test]
fn what_is_no_number_stays_none_and_reaches_its_row_alone() {
    for unit in Unit::available() {
        for (bad, expected) in [(f32::NAN, f32::NAN), (f32::INFINITY, f32::INFINITY)] {
            let mut x = Array2::<f32>::ones([40, 50]);
            x[[33, 7]] = bad;
            let w = Array2::<f32>::ones([35, 50]);
            let (left, right) =
                (pack(unit, x.view(), Order::Left), pack(unit, w.view(), Order::RightTransposed));
            let y = new_product(unit, &left, &right, [40, 35], None);
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
    for unit in Unit::available() {
        let left = pack(unit, x.view(), Order::Left);
        let right = pack(unit, w.view(), Order::RightTransposed);
        let plain = new_product(unit, &left, &right, [m, n], Some(&bias));
        // SAFETY: the product below writes every square.
        let (mut value, mut derivative) = unsafe { (Activation::uninit([m, n]), Derivative::uninit([m, n])) };
        product(unit, &left, &right, &Gelu::new(unit, m, &bias, &mut value, &mut derivative));
        let identity = pack(unit, Array2::<f32>::eye(n).view(), Order::Right);
        let values = new_product(unit, &value.left, &identity, [m, n], None);
        let ones = pack(unit, Array2::<f32>::ones([m, n]).view(), Order::Left);
        // SAFETY: as above.
        let mut gradient = unsafe { Gradient::uninit([m, n]) };
        product(unit, &ones, &identity, &Multiply::new(unit, &derivative, &mut gradient));
        let derivatives = new_product(unit, &gradient.left, &identity, [m, n], None);
        for ((&x, &value), &derivative) in plain.iter().zip(&values).zip(&derivatives) {
            let (cdf, density) = crate::Real::normal(f64::from(x));
            let exact = [f64::from(x) * cdf, cdf + f64::from(x) * density];
            for (found, exact) in [value, derivative].into_iter().zip(exact) {
                assert!(
                    (f64::from(found) - exact).abs() < 0.005 * exact.abs() + 1e-5,
                    "{found} is not {exact}"
                );
            }
        }
    }
}
