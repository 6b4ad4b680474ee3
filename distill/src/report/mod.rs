//! A comparison as a file, as a table, as a page.

mod html;
mod markdown;
mod numbers;
mod schema;
mod svg;
mod terminal;

pub use numbers::{
    bytes, count, difference, figure, milliseconds, percent, points, probability, thousands, times,
};
pub use schema::*;
pub use terminal::aligned;

use anyhow::Result;
use std::path::Path;

/// The files of a report: all that was found, a text, a page.
pub const FILES: [&str; 3] = ["report.json", "report.md", "report.html"];

impl Report {
    /// Writes the report into a folder that is there, each file at once or not at all.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let contents = [self.to_json(), self.to_markdown(), self.to_html()];
        FILES
            .iter()
            .zip(contents)
            .try_for_each(|(name, text)| crate::bundle::write_text(&folder.join(name), &text))
    }
}
