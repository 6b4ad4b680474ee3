//! Which classes a model takes for which: a field of squares, each as dark as it is often taken.

use super::{Anchor, Canvas, WIDTH, short};
use crate::report::{ConfusionCell, thousands};

/// The classes that a picture has room for.
pub const MOST_CLASSES: usize = 24;
/// The classes whose counts are written into the squares.
const WRITTEN: usize = 6;

/// Draws how often each class (rows) is taken for each (columns). `title`: by whom.
pub fn confusion(id: &str, cells: &[ConfusionCell], labels: &[String], title: &str) -> String {
    let classes = labels.len();
    let (left, top) = (96.0, 58.0);
    let side = (WIDTH - left - 12.0) / classes as f64;
    let mut rows = vec![0_u64; classes];
    cells.iter().for_each(|cell| rows[cell.gold] += cell.examples);
    let mut canvas = Canvas::default();
    canvas.text([left + side * classes as f64 / 2.0, 12.0], Anchor::Middle, "label", "predicted");
    canvas.text([4.0, top - 8.0], Anchor::Start, "label", "right");
    for cell in cells {
        let share = cell.examples as f64 / rows[cell.gold].max(1) as f64;
        let at = [left + side * cell.predicted as f64, top + side * cell.gold as f64];
        // A writing in the page's own ink is readable on anything that is no darker than this.
        let style = format!(r#" fill-opacity="{:.3}""#, 0.04 + 0.41 * share);
        canvas.rectangle([at[0] + 0.5, at[1] + 0.5], [side - 1.0; 2], "cell", &style);
        if classes <= WRITTEN {
            let middle = [at[0] + side / 2.0, at[1] + side / 2.0];
            let percent = format!("{:.1} %", 100.0 * share);
            canvas.text([middle[0], middle[1] + 1.0], Anchor::Middle, "count", &thousands(cell.examples));
            canvas.text([middle[0], middle[1] + 14.0], Anchor::Middle, "count", &percent);
        }
    }
    let all = side * classes as f64;
    canvas.rectangle([left, top], [all, all], "frame", "");
    let every = (11.0 / side).ceil().max(1.0) as usize;
    for (class, label) in labels.iter().enumerate().step_by(every) {
        let middle = side * (class as f64 + 0.5);
        canvas.text([left - 6.0, top + middle + 4.0], Anchor::End, "tick", &short(label, 14));
        // Names of columns take turns in height, so that neighbours do not meet.
        let most = if classes <= 3 { 14 } else { ((1.8 * side * every as f64 / 6.2) as usize).max(2) };
        let height = if classes <= 3 || (class / every).is_multiple_of(2) { top - 8.0 } else { top - 22.0 };
        canvas.text([left + middle, height], Anchor::Middle, "tick", &short(label, most));
    }
    let mut wrong: Vec<&ConfusionCell> = cells.iter().filter(|cell| cell.gold != cell.predicted).collect();
    wrong.sort_by_key(|cell| std::cmp::Reverse(cell.examples));
    let say = |cell: &&ConfusionCell| {
        format!("{} taken for {} {} times", labels[cell.gold], labels[cell.predicted], cell.examples)
    };
    let said: Vec<String> = wrong.iter().take(10).map(say).collect();
    let description = format!("Most often: {}.", said.join("; "));
    canvas.finish(id, top + all + 8.0, &format!("What {title} takes for what"), &description)
}
