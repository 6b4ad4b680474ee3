//! Numbers of several models over a common axis: latency by length, losses by update.

use super::{Axis, Canvas, Kind, WIDTH};

/// The numbers of a model.
pub struct Line {
    /// Its place among the models.
    pub model: usize,
    /// What it is called.
    pub name: String,
    /// Across and up.
    pub points: Vec<[f64; 2]>,
}

const HEIGHT: f64 = 250.0;
/// The marks on a line, at most.
const MARKS: usize = 8;

/// Draws lines. `axes`: what lies across and up, and how it is laid out.
pub fn lines(id: &str, lines: &[Line], title: &str, axes: [(&str, Kind); 2]) -> String {
    let numbers = |which: usize| lines.iter().flat_map(move |line| line.points.iter().map(move |p| p[which]));
    let across = Axis::over(numbers(0), axes[0].1, [54.0, WIDTH - 14.0]);
    let up = Axis::over(numbers(1), axes[1].1, [HEIGHT - 42.0, 30.0]);
    let mut canvas = Canvas::default();
    canvas.axes(&across, &up, [axes[0].0, axes[1].0]);
    for line in lines {
        let points: Vec<[f64; 2]> = line.points.iter().map(|[x, y]| [across.at(*x), up.at(*y)]).collect();
        canvas.path(&points, line.model, "curve");
    }
    for line in lines {
        let every = line.points.len().div_ceil(MARKS).max(1);
        // Marks of lines that lie on each other stand beside each other.
        let first = if line.points.len() > MARKS { (line.model * every / 4) % every } else { 0 };
        for [x, y] in line.points.iter().skip(first).step_by(every) {
            canvas.mark([across.at(*x), up.at(*y)], line.model);
        }
    }
    let say = |line: &Line| match (line.points.first(), line.points.last()) {
        (Some([x1, y1]), Some([x2, y2])) => format!("{}: from {y1:.4} at {x1} to {y2:.4} at {x2}", line.name),
        _ => format!("{}: nothing", line.name),
    };
    let said: Vec<String> = lines.iter().map(say).collect();
    canvas.finish(id, HEIGHT, title, &said.join("; "))
}
