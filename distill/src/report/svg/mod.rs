//! Pictures as SVG: drawn for 360 units of width, which is a phone's, so that their writing keeps its size.
//!
//! Each has a title and a description for those who do not see it. Colours are those of the page (`--s0`, `--s1`, …), which
//! knows light from dark; what a colour says, a shape or a place says as well.

mod axis;
mod confusion;
mod forest;
mod lines;
mod pareto;
mod reliability;

pub use axis::{Axis, Kind};
pub use confusion::{MOST_CLASSES, confusion};
pub use forest::{Row, forest};
pub use lines::{Line, lines};
pub use pareto::{Dot, pareto};
pub use reliability::reliability;

use super::html::escape;
use std::fmt::Write;

/// The width of a picture.
pub const WIDTH: f64 = 360.0;
/// The colours of models; further ones begin again, with other shapes.
pub const COLOURS: usize = 11;
/// The shapes of models.
const SHAPES: usize = 7;

/// A picture that is being drawn.
#[derive(Default)]
pub struct Canvas {
    body: String,
}

/// Where writing is put, from its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// To the right of it.
    Start,
    /// About it.
    Middle,
    /// To the left of it.
    End,
}

impl Canvas {
    /// Writes text at a place. `class`: a class of the page's style.
    pub fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        self.put(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{text}</text>"#
        ));
    }

    /// Draws a straight line.
    pub fn line(&mut self, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], class: &str) {
        self.put(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class}"/>"#
        ));
    }

    /// Draws a rectangle. `style`: more attributes.
    pub fn rectangle(&mut self, [x, y]: [f64; 2], [width, height]: [f64; 2], class: &str, style: &str) {
        let size = format!(r#"width="{:.1}" height="{:.1}""#, width.max(0.0), height.max(0.0));
        self.put(format_args!(r#"<rect x="{x:.1}" y="{y:.1}" {size} class="{class}"{style}/>"#));
    }

    /// Draws a line through points, in the colour of a model.
    pub fn path(&mut self, points: &[[f64; 2]], colour: usize, class: &str) {
        let mut path = String::new();
        for (place, [x, y]) in points.iter().enumerate() {
            let _ = write!(path, "{}{x:.1} {y:.1}", if place == 0 { "M" } else { "L" });
        }
        let colour = colour % COLOURS;
        self.put(format_args!(r#"<path d="{path}" class="{class}" style="stroke:var(--s{colour})"/>"#));
    }

    /// Draws the mark of a model.
    pub fn mark(&mut self, at: [f64; 2], model: usize) {
        self.body.push_str(&mark(at, model));
    }

    /// Draws an axis below or to the left of a field, with its lines across, and says what it is.
    pub fn axes(&mut self, across: &Axis, up: &Axis, [title, title_up]: [&str; 2]) {
        let (left, right) = across.ends();
        let (bottom, top) = up.ends();
        for (value, label) in up.ticks() {
            let y = up.at(value);
            self.line([left, y], [right, y], "grid");
            self.text([left - 6.0, y + 4.0], Anchor::End, "tick", &label);
        }
        for (value, label) in across.ticks() {
            let x = across.at(value);
            self.line([x, bottom], [x, bottom + 4.0], "axis");
            self.text([x, bottom + 16.0], Anchor::Middle, "tick", &label);
        }
        self.line([left, bottom], [right, bottom], "axis");
        self.text([(left + right) / 2.0, bottom + 32.0], Anchor::Middle, "label", title);
        self.text([4.0, top - 10.0], Anchor::Start, "label", title_up);
    }

    /// Returns the picture. `id`: another for each picture of a page.
    pub fn finish(self, id: &str, height: f64, title: &str, description: &str) -> String {
        let (title, description) = (escape(title), escape(description));
        format!(
            r#"<svg viewBox="0 0 {WIDTH:.0} {height:.0}" role="img" aria-labelledby="{id}-t {id}-d"><title id="{id}-t">{title}</title><desc id="{id}-d">{description}</desc>{}</svg>"#,
            self.body
        )
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = self.body.write_fmt(element);
    }
}

/// Returns the mark of a model about a place: its shape says which, its colour says so as well.
pub fn mark([x, y]: [f64; 2], model: usize) -> String {
    let colour = model % COLOURS;
    let points = |points: &[[f64; 2]]| {
        let points: Vec<String> =
            points.iter().map(|[dx, dy]| format!("{:.1},{:.1}", x + 5.0 * dx, y + 5.0 * dy)).collect();
        format!(r#"<polygon points="{}""#, points.join(" "))
    };
    let shape = match model % SHAPES {
        0 => points(&[[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]]),
        1 => format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="4.8""#),
        2 => points(&[[0.0, -1.1], [1.05, 0.8], [-1.05, 0.8]]),
        3 => points(&[[0.0, -1.2], [1.2, 0.0], [0.0, 1.2], [-1.2, 0.0]]),
        4 => points(&[[0.0, 1.1], [1.05, -0.8], [-1.05, -0.8]]),
        5 => points(&[
            [-0.4, -1.1],
            [0.4, -1.1],
            [0.4, -0.4],
            [1.1, -0.4],
            [1.1, 0.4],
            [0.4, 0.4],
            [0.4, 1.1],
            [-0.4, 1.1],
            [-0.4, 0.4],
            [-1.1, 0.4],
            [-1.1, -0.4],
            [-0.4, -0.4],
        ]),
        _ => points(&[[-0.55, -1.1], [0.55, -1.1], [1.1, 0.0], [0.55, 1.1], [-0.55, 1.1], [-1.1, 0.0]]),
    };
    format!(r#"{shape} class="mark" style="fill:var(--s{colour})"/>"#)
}

/// Cuts a name so that it fits a picture: the end tells more than the beginning.
pub fn short(name: &str, most: usize) -> String {
    let count = name.chars().count();
    match count > most {
        true => format!("…{}", name.chars().skip(count - most + 1).collect::<String>()),
        false => name.to_owned(),
    }
}
