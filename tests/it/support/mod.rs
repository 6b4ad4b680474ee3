//! What the tests stand on: a folder of their own, a made-up language, a tiny model, and the binary.

pub mod asking;
pub mod corpus;
pub mod dir;
pub mod tiny;

/// Returns the path of a fixture.
pub fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)
}
