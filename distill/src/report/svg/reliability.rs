//! Whether a model is as often right as it is sure: before and after temperature scaling.

use super::{Anchor, Axis, Canvas, WIDTH};
use crate::report::Calibration;

const HEIGHT: f64 = 300.0;

/// Draws the accuracy of each bin of confidence. `title`: whose.
pub fn reliability(id: &str, calibration: &Calibration, title: &str) -> String {
    let across = Axis::between([0.0, 1.0], [44.0, WIDTH - 24.0]);
    let up = Axis::between([0.0, 1.0], [HEIGHT - 46.0, 30.0]);
    let mut canvas = Canvas::default();
    canvas.axes(&across, &up, ["confidence", "share that is right"]);
    let width = (across.at(1.0) - across.at(0.0)) / calibration.bins.len() as f64;
    let most = calibration.bins.iter().map(|bin| bin.examples).max().unwrap_or(1).max(1) as f64;
    for (place, bin) in calibration.bins.iter().enumerate() {
        let Some(accuracy) = bin.accuracy else { continue };
        let x = across.at(0.0) + width * place as f64;
        let top = up.at(accuracy);
        canvas.rectangle([x + 0.5, top], [width - 1.0, up.at(0.0) - top], "bar", "");
        // How many examples the bin has, as a foot of the bar.
        let foot = 12.0 * (bin.examples as f64 / most).sqrt();
        canvas.rectangle([x + 0.5, up.at(0.0) - foot], [width - 1.0, foot], "foot", "");
    }
    canvas.line([across.at(0.0), up.at(0.0)], [across.at(1.0), up.at(1.0)], "margin");
    let scaled: Vec<[f64; 2]> = calibration
        .bins_scaled
        .iter()
        .filter_map(|bin| Some([across.at(bin.confidence?), up.at(bin.accuracy?)]))
        .collect();
    canvas.path(&scaled, 2, "curve");
    scaled.iter().for_each(|at| canvas.mark(*at, 2));
    canvas.text([across.at(0.0) + 8.0, 44.0], Anchor::Start, "tick", "bars: as it is");
    canvas.text([across.at(0.0) + 8.0, 58.0], Anchor::Start, "tick", "triangles: scaled");
    let say = |(place, bin): (usize, &crate::report::BinReport)| {
        let from = place as f64 / calibration.bins.len() as f64;
        bin.accuracy.map(|accuracy| format!("from {from:.2}: {accuracy:.3} of {}", bin.examples))
    };
    let said: Vec<String> = calibration.bins.iter().enumerate().filter_map(say).collect();
    canvas.finish(id, HEIGHT, &format!("Reliability of {title}"), &said.join("; "))
}
