//! page
use super::Report;
impl Report {
    /// Returns the report as a page.
    pub fn to_html(&self) -> String {
        String::new()
    }
}
