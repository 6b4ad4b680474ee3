//! A comparison as Markdown, for a pull request or a model card.

use super::Report;
impl Report {
    /// Returns the report as Markdown.
    pub fn to_markdown(&self) -> String {
        String::new()
    }
}
