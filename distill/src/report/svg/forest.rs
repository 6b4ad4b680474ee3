//! Differences from the teacher, each with its interval: whether it lies right of the margin is seen at once.

use super::{Anchor, Axis, Canvas, Kind, WIDTH, short};
use crate::report::Estimate;

/// A student in the picture.
pub struct Row {
    /// Its place among the models.
    pub model: usize,
    /// What it is called.
    pub name: String,
    /// By how much it is above the teacher, in points.
    pub difference: Estimate,
}

/// Draws the differences of students. `margin`: how far below the teacher they may be, in points.
pub fn forest(id: &str, rows: &[Row], margin: f64, figure: &str) -> String {
    const ROW: f64 = 40.0;
    let height = 30.0 + ROW * rows.len() as f64 + 44.0;
    let ends = rows.iter().flat_map(|row| [row.difference.low, row.difference.high, row.difference.value]);
    let numbers = ends.flatten().chain([0.0, -margin]);
    let axis = Axis::over(numbers, Kind::Linear, [12.0, WIDTH - 12.0]);
    let bottom = 26.0 + ROW * rows.len() as f64;
    let mut canvas = Canvas::default();
    let (left, limit) = (axis.ends().0, axis.at(-margin));
    canvas.rectangle([left, 20.0], [limit - left, bottom - 20.0], "beyond", "");
    for (tick, label) in axis.ticks() {
        let x = axis.at(tick);
        canvas.line([x, bottom], [x, bottom + 4.0], "axis");
        canvas.text([x, bottom + 16.0], Anchor::Middle, "tick", &label);
    }
    canvas.line([axis.at(0.0), 20.0], [axis.at(0.0), bottom], "axis");
    canvas.line([limit, 20.0], [limit, bottom], "margin");
    canvas.line([left, bottom], [axis.ends().1, bottom], "axis");
    canvas.text([axis.at(0.0), 12.0], Anchor::Middle, "tick", "teacher");
    if (axis.at(0.0) - limit) > 52.0 {
        canvas.text([limit, 12.0], Anchor::Middle, "tick", "margin");
    }
    for (place, row) in rows.iter().enumerate() {
        let y = 50.0 + ROW * place as f64;
        canvas.text([left, y - 11.0], Anchor::Start, "name", &short(&row.name, 40));
        if let (Some(low), Some(high)) = (row.difference.low, row.difference.high) {
            canvas.path(&[[axis.at(low), y], [axis.at(high), y]], row.model, "interval");
        }
        if let Some(value) = row.difference.value {
            canvas.mark([axis.at(value), y], row.model);
        }
    }
    let title = format!("{figure} over the teacher, points");
    canvas.text([WIDTH / 2.0, bottom + 33.0], Anchor::Middle, "label", &title);
    let say = |row: &Row| match (row.difference.value, row.difference.low, row.difference.high) {
        (Some(value), Some(low), Some(high)) => {
            format!("{}: {value:.1}, between {low:.1} and {high:.1}", row.name)
        }
        (Some(value), ..) => format!("{}: {value:.1}", row.name),
        _ => format!("{}: not defined", row.name),
    };
    let said: Vec<String> = rows.iter().map(say).collect();
    canvas.finish(id, height, &title, &format!("{}. The margin is {margin} points below.", said.join("; ")))
}
