//! Quality against cost: who is best at its price.

use super::{Anchor, Axis, Canvas, Kind, WIDTH, short};
use crate::report::Estimate;

/// A model in the picture.
pub struct Dot {
    /// Its place among the models.
    pub model: usize,
    /// What it is called.
    pub name: String,
    /// What it costs.
    pub cost: f64,
    /// How good it is.
    pub quality: Estimate,
}

const HEIGHT: f64 = 270.0;

/// Draws models by cost and quality, and the line of those that none beats in both. `axes`: what cost and quality are.
pub fn pareto(id: &str, dots: &[Dot], axes: [&str; 2]) -> String {
    let known: Vec<(&Dot, [f64; 2])> =
        dots.iter().filter_map(|dot| Some((dot, [dot.cost, dot.quality.value?]))).collect();
    let across = Axis::over(known.iter().map(|(_, at)| at[0]), Kind::Logarithmic, [50.0, WIDTH - 16.0]);
    let ends = known
        .iter()
        .flat_map(|(dot, at)| [Some(at[1]), dot.quality.low, dot.quality.high].into_iter().flatten());
    let up = Axis::over(ends, Kind::Linear, [HEIGHT - 42.0, 30.0]);
    let mut canvas = Canvas::default();
    canvas.axes(&across, &up, axes);
    let best = frontier(&known);
    let steps = best.windows(2).flat_map(|pair| {
        let [[x1, y1], [x2, y2]] = [pair[0].1, pair[1].1].map(|[x, y]| [across.at(x), up.at(y)]);
        [[x1, y1], [x2, y1], [x2, y2]]
    });
    canvas.path(&steps.collect::<Vec<_>>(), 0, "frontier");
    let mut taken: Vec<[f64; 4]> = Vec::new();
    for (dot, [cost, quality]) in &known {
        let at = [across.at(*cost), up.at(*quality)];
        if let (Some(low), Some(high)) = (dot.quality.low, dot.quality.high) {
            canvas.path(&[[at[0], up.at(low)], [at[0], up.at(high)]], dot.model, "whisker");
        }
        taken.push([at[0] - 7.0, at[1] - 7.0, at[0] + 7.0, at[1] + 7.0]);
    }
    for (dot, [cost, quality]) in &known {
        let at = [across.at(*cost), up.at(*quality)];
        canvas.mark(at, dot.model);
        label(&mut canvas, at, &short(&dot.name, 18), &mut taken);
    }
    let say = |(dot, [cost, quality]): &(&Dot, [f64; 2])| format!("{}: {cost:.3}, {quality:.3}", dot.name);
    let said: Vec<String> = known.iter().map(say).collect();
    let names: Vec<&str> = best.iter().map(|(dot, _)| dot.name.as_str()).collect();
    let description = format!("{}. None beats {} in both.", said.join("; "), names.join(", "));
    canvas.finish(id, HEIGHT, &format!("{} against {}", axes[1], axes[0]), &description)
}

/// Returns those that no cheaper one equals, cheapest first.
fn frontier<'a>(known: &[(&'a Dot, [f64; 2])]) -> Vec<(&'a Dot, [f64; 2])> {
    let mut sorted = known.to_vec();
    sorted.sort_by(|(_, a), (_, b)| a[0].total_cmp(&b[0]).then(b[1].total_cmp(&a[1])));
    let mut best = f64::NEG_INFINITY;
    sorted.retain(|(_, [_, quality])| {
        let better = *quality > best;
        best = best.max(*quality);
        better
    });
    sorted
}

/// Writes a name beside its mark, where it is free.
fn label(canvas: &mut Canvas, [x, y]: [f64; 2], name: &str, taken: &mut Vec<[f64; 4]>) {
    let width = 6.4 * name.chars().count() as f64;
    let place = |right: bool, dy: f64| {
        let left = if right { x + 10.0 } else { x - 10.0 - width };
        [left, y + dy - 7.0, left + width, y + dy + 6.0]
    };
    let free = |b: &[f64; 4]| {
        let inside = b[0] >= 46.0 && b[2] <= WIDTH - 2.0 && b[1] >= 20.0 && b[3] <= HEIGHT - 40.0;
        inside && taken.iter().all(|a| a[2] < b[0] || b[2] < a[0] || a[3] < b[1] || b[3] < a[1])
    };
    let moves = [0.0, -13.0, 13.0, -26.0, 26.0, -39.0, 39.0, -52.0, 52.0];
    let mut places = moves.iter().flat_map(|dy| [place(true, *dy), place(false, *dy)]);
    let fallback = place(x < WIDTH / 2.0, 0.0);
    let chosen = places.find(free).unwrap_or(fallback);
    taken.push(chosen);
    canvas.text([chosen[0], chosen[3] - 2.0], Anchor::Start, "name", name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_joins_those_that_none_beats() {
        let dot = |model: usize, cost: f64, quality: f64| Dot {
            model,
            name: format!("m{model}"),
            cost,
            quality: Estimate { value: Some(quality), low: None, high: None },
        };
        let dots =
            [dot(0, 9.0, 0.9), dot(1, 3.0, 0.8), dot(2, 4.0, 0.7), dot(3, 3.0, 0.85), dot(4, 1.0, 0.5)];
        let known: Vec<_> = dots.iter().map(|dot| (dot, [dot.cost, dot.quality.value.unwrap()])).collect();
        let best: Vec<usize> = frontier(&known).iter().map(|(dot, _)| dot.model).collect();
        assert_eq!(best, [4, 3, 0]);
    }
}
