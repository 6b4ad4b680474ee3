//! The messages of TensorFlow's `event.proto` and `summary.proto` that scalars need. Other fields are left out; protobuf
//! skips them.

use prost::{Enumeration, Message, Oneof};

/// What happened at a time.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// In seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    #[prost(int64, tag = "2")]
    pub step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    pub what: Option<What>,
}

/// What happened.
#[derive(Clone, PartialEq, Oneof)]
pub enum What {
    /// The version of the format; the first event of every file.
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

/// Numbers at a step.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Value>,
}

/// A number under a name.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(string, tag = "1")]
    pub tag: String,
    /// Optional, since a reader tells a scalar by its presence, and 0 is one.
    #[prost(float, optional, tag = "2")]
    pub simple_value: Option<f32>,
}

/// What became of the writer.
#[derive(Clone, PartialEq, Message)]
pub struct SessionLog {
    #[prost(enumeration = "Status", tag = "1")]
    pub status: i32,
}

/// A `START` takes back what was said of its step and later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Status {
    Unspecified = 0,
    Start = 1,
}
