//! Temporary.
use super::panel::Panel;
use super::softmax::*;
use super::product::*;
use super::*;
use crate::kernels::{Mask, DropoutKey, Onto};
use crate::kernels::simd::{on_best_unit};
use std::time::Instant;

fn time(name: &str, vectors: usize, mut f: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..30 { let t = Instant::now(); for _ in 0..200 { f() } best = best.min(t.elapsed().as_secs_f64()); }
    println!("{name}: {:.1} cycles per vector", best / 200.0 / vectors as f64 * 3.8e9);
}

#[test]
fn passes() {
    let mask = Some(Mask::new(DropoutKey { seed: 1, pass: 2 }, 1, 0.1));
    for (rows, keys) in [(13, 13), (13, 13), (13, 13), (13, 13), (13, 13), (13, 13), (32, 64), (16, 128), (16, 512)] {
        let mut s = Panel::<f32>::new(); let mut d = Panel::<f32>::new();
        s.reshape(rows, keys); d.reshape(rows, keys);
        let n = rows * keys.div_ceil(16);
        let mut normalisers = vec![Normaliser { max: 0.5, inverse_sum: 1.0 / keys as f32 }; rows];
        let mut probs = Vec::new();
        for (name, mask) in [("mask", mask), ("none", None)] {
            time(&format!("{rows}x{keys} {name} exponentials"), n, || {
                crate::kernels::vectorized(|| s.lanes_mut().as_flattened_mut().iter_mut().for_each(|x| *x = 0.25));
                on_best_unit(Exponentials { scores: &mut s, mask, first: 3, normalisers: &mut normalisers });
            });
            normalisers.fill(Normaliser { max: 0.5, inverse_sum: 1.0 / keys as f32 });
            time(&format!("{rows}x{keys} {name} gradients"), n, || {
                crate::kernels::vectorized(|| s.lanes_mut().as_flattened_mut().iter_mut().for_each(|x| *x = 0.25));
                crate::kernels::vectorized(|| d.lanes_mut().as_flattened_mut().iter_mut().for_each(|x| *x = 0.25));
                on_best_unit(Gradients { scores: &mut s, d: &mut d, probs: &mut probs, mask, first: 3, normalisers: &normalisers });
            });
        }
        time("fill", n, || { crate::kernels::vectorized(|| std::hint::black_box(&mut s).lanes_mut().as_flattened_mut().iter_mut().for_each(|x| *x = 0.25)); });
    }
}

#[test]
fn products() {
    for (m, n, depth) in [(13, 13, 26), (13, 26, 13), (32, 64, 26), (32, 26, 64), (64, 26, 32), (32, 64, 64), (16, 128, 26), (16, 26, 128), (128, 26, 16), (16, 512, 64), (16, 64, 512), (512, 64, 16), (1, 64, 26), (1, 26, 64), (64, 26, 1)] {
        let (mut a, mut at, mut b, mut c) = (Panel::<f32>::new(), Panel::<f32>::new(), Panel::<f32>::new(), Panel::<f32>::new());
        a.reshape(m, depth); at.reshape(depth, m); b.reshape(depth, n); c.reshape(m, n);
        for p in [&mut a, &mut at, &mut b, &mut c] { p.lanes_mut().as_flattened_mut().fill(0.0); }
        let mut report = |name: &str, f: &mut dyn FnMut()| {
            let mut best = f64::MAX;
            for _ in 0..30 { let t = Instant::now(); for _ in 0..200 { f() } best = best.min(t.elapsed().as_secs_f64()); }
            println!("{m}x{n}x{depth} {name}: {:.1} GFLOP/s, {:.1} with padding", (2 * m * n * depth * 200) as f64 / best / 1e9, (2 * m * n.next_multiple_of(16) * depth * 200) as f64 / best / 1e9);
        };
        report("rows", &mut || on_best_unit(Product { c: c.all_mut(), a: Left::rows(a.all()), b: b.all(), onto: Onto::Nothing }));
        report("columns", &mut || on_best_unit(Product { c: c.all_mut(), a: Left::columns(at.all()), b: b.all(), onto: Onto::Sum }));
    }
}
