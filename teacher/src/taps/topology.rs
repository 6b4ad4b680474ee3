//! The nodes of an ONNX file and how they hang together, read without the weights (onnx.proto; the field numbers are
//! below).

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use crate::Error;
use crate::protobuf::{Content, Field, Reader};

/// No name is longer.
const MAX_NAME_BYTES: u64 = 4096;
/// No list of axes or sizes is longer.
const MAX_INTS: usize = 64;
/// Whole numbers are kept of tensors no larger than this: they are sizes and indices.
const MAX_KEPT_BYTES: u64 = 512;
/// Values of all nodes together; a BERT has some thousands.
const MAX_VALUES: usize = 4_000_000;

/// The number of a value: the same wherever its name stands.
pub(super) type Value = usize;

/// What a file says of its graph.
#[derive(Debug, Default)]
pub(super) struct Topology {
    /// The nodes in the order of the file.
    pub nodes: Vec<Node>,
    /// Stored tensors, those of `Constant` nodes included.
    pub constants: HashMap<Value, Constant>,
    /// What the graph is fed, which in old files includes stored tensors.
    pub inputs: Vec<Value>,
    /// What the graph gives out.
    pub outputs: Vec<Value>,
    /// Names by number; no value is without one.
    pub names: Vec<String>,
    numbers: HashMap<String, Value>,
}

/// One operation.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub name: String,
    pub op: String,
    /// The set of operators; empty for ONNX's own.
    pub domain: String,
    /// Operands by place; optional ones may be missing.
    pub inputs: Vec<Option<Value>>,
    pub outputs: Vec<Option<Value>>,
    pub attributes: BTreeMap<String, Attribute>,
}

/// A constant argument of an operation; what no attribute that matters here holds is left out.
#[derive(Debug, Default, Clone)]
pub(super) struct Attribute {
    pub float: f32,
    pub int: i64,
    pub ints: Vec<i64>,
    pub tensor: Option<Constant>,
}

/// A stored tensor.
#[derive(Debug, Default, Clone)]
pub(super) struct Constant {
    pub dims: Vec<i64>,
    /// Element type, by its number in onnx.proto.
    pub element: u64,
    /// The numbers of a small tensor of whole ones; else nothing.
    pub ints: Vec<i64>,
}

impl Topology {
    /// Reads the graph of an ONNX file.
    ///
    /// # Errors
    /// [`Error::Read`] where the file cannot be opened; [`Error::BrokenOnnx`] where it is cut short, nests or names
    /// what it must not, or is larger than any model.
    pub fn read(onnx: &Path) -> Result<Topology, Error> {
        let file = File::open(onnx).map_err(|source| Error::Read { path: onnx.into(), source })?;
        Topology::parse(BufReader::new(file))
            .map_err(|reason| Error::BrokenOnnx { path: onnx.into(), reason })
    }

    pub(super) fn parse(file: impl Read + Seek) -> Result<Topology, String> {
        let (reader, end) = Reader::new(file)?;
        let mut parser = Parser { reader, found: Topology::default() };
        parser.model(end).map_err(|reason| format!("{reason} at byte {}", parser.reader.at()))?;
        Ok(parser.found)
    }

    /// Returns the number of a name, a new one where it is new.
    fn value(&mut self, name: String) -> Result<Value, String> {
        if let Some(&known) = self.numbers.get(&name) {
            return Ok(known);
        }
        if self.names.len() == MAX_VALUES {
            return Err(format!("there are more than {MAX_VALUES} values"));
        }
        self.names.push(name.clone());
        self.numbers.insert(name, self.names.len() - 1);
        Ok(self.names.len() - 1)
    }

    /// Returns the value with this name.
    pub fn find(&self, name: &str) -> Option<Value> {
        self.numbers.get(name).copied()
    }
}

impl Constant {
    /// Says whether this may be something learnt: a matrix, and not of indices or yes and no.
    pub fn is_weight(&self) -> bool {
        const INDICES: [u64; 4] = [6, 7, 8, 9];
        self.dims.iter().filter(|&&size| size != 1).count() >= 2 && !INDICES.contains(&self.element)
    }
}

struct Parser<F> {
    reader: Reader<F>,
    found: Topology,
}

impl<F: Read + Seek> Parser<F> {
    fn model(&mut self, end: u64) -> Result<(), String> {
        while let Some(Field { number, content }) = self.reader.field(end)? {
            match (number, content) {
                (7, Content::Until(last)) => self.graph(last)?,
                _ => self.reader.skip(content)?,
            }
        }
        Ok(())
    }

    fn graph(&mut self, end: u64) -> Result<(), String> {
        while let Some(Field { number, content }) = self.reader.field(end)? {
            match (number, content) {
                (1, Content::Until(last)) => self.node(last)?,
                (5, Content::Until(last)) => {
                    let (name, tensor) = self.tensor(last)?;
                    let value = self.found.value(name)?;
                    self.found.constants.insert(value, tensor);
                }
                (11, Content::Until(last)) => {
                    let value = self.value_info(last)?;
                    self.found.inputs.push(value);
                }
                (12, Content::Until(last)) => {
                    let value = self.value_info(last)?;
                    self.found.outputs.push(value);
                }
                _ => self.reader.skip(content)?,
            }
        }
        Ok(())
    }

    fn node(&mut self, end: u64) -> Result<(), String> {
        let mut node = Node::default();
        while let Some(Field { number, content }) = self.reader.field(end)? {
            match (number, content) {
                (1, Content::Until(last)) => node.inputs.push(self.optional(last)?),
                (2, Content::Until(last)) => node.outputs.push(self.optional(last)?),
                (3, Content::Until(last)) => node.name = self.text(last)?,
                (4, Content::Until(last)) => node.op = self.text(last)?,
                (5, Content::Until(last)) => {
                    let (name, attribute) = self.attribute(last)?;
                    node.attributes.insert(name, attribute);
                }
                (7, Content::Until(last)) => node.domain = self.text(last)?,
                _ => self.reader.skip(content)?,
            }
        }
        if node.domain == "ai.onnx" {
            node.domain.clear();
        }
        if let Some((value, constant)) = constant_of(&node) {
            self.found.constants.insert(value, constant);
        }
        self.found.nodes.push(node);
        Ok(())
    }

    fn attribute(&mut self, end: u64) -> Result<(String, Attribute), String> {
        let (mut name, mut attribute) = (String::new(), Attribute::default());
        while let Some(Field { number, content }) = self.reader.field(end)? {
            match (number, content) {
                (1, Content::Until(last)) => name = self.text(last)?,
                (2, Content::Number(bits)) => attribute.float = f32::from_bits(bits as u32),
                (3, Content::Number(bits)) => attribute.int = bits as i64,
                (5, Content::Until(last)) => attribute.tensor = Some(self.tensor(last)?.1),
                (8, content) => self.ints(content, &mut attribute.ints)?,
                _ => self.reader.skip(content)?,
            }
        }
        Ok((name, attribute))
    }

    /// Reads a tensor's name, type and shape, and its numbers where they may be sizes.
    fn tensor(&mut self, end: u64) -> Result<(String, Constant), String> {
        let (mut name, mut tensor, mut raw) = (String::new(), Constant::default(), Vec::new());
        while let Some(Field { number, content }) = self.reader.field(end)? {
            match (number, content) {
                (1, content) => self.ints(content, &mut tensor.dims)?,
                (2, Content::Number(element)) => tensor.element = element,
                (7, Content::Until(last)) if is_short(content, self.reader.at()) => {
                    while let Some(number) = self.reader.packed(last)? {
                        tensor.ints.push(number as i64);
                    }
                }
                (8, Content::Until(last)) => name = self.text(last)?,
                (9, Content::Until(last)) if is_short(content, self.reader.at()) => {
                    raw = self.reader.bytes(last, MAX_KEPT_BYTES, "a number")?;
                }
                _ => self.reader.skip(content)?,
            }
        }
        const INT64: u64 = 7;
        if tensor.element != INT64 {
            tensor.ints.clear();
        } else if tensor.ints.is_empty() {
            let (numbers, _) = raw.as_chunks();
            tensor.ints = numbers.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
        }
        Ok((name, tensor))
    }

    fn value_info(&mut self, end: u64) -> Result<Value, String> {
        let mut name = String::new();
        while let Some(Field { number, content }) = self.reader.field(end)? {
            match (number, content) {
                (1, Content::Until(last)) => name = self.text(last)?,
                _ => self.reader.skip(content)?,
            }
        }
        self.found.value(name)
    }

    /// Reads one number of a list, or several packed ones.
    fn ints(&mut self, content: Content, list: &mut Vec<i64>) -> Result<(), String> {
        let mut add = |number: u64| {
            list.push(number as i64);
            if list.len() > MAX_INTS {
                Err(format!("a list has more than {MAX_INTS} numbers"))
            } else {
                Ok(())
            }
        };
        match content {
            Content::Number(number) => add(number),
            Content::Until(last) => {
                while let Some(number) = self.reader.packed(last)? {
                    add(number)?;
                }
                Ok(())
            }
        }
    }

    fn optional(&mut self, end: u64) -> Result<Option<Value>, String> {
        let name = self.text(end)?;
        if name.is_empty() { Ok(None) } else { self.found.value(name).map(Some) }
    }

    fn text(&mut self, end: u64) -> Result<String, String> {
        let bytes = self.reader.bytes(end, MAX_NAME_BYTES, "a name")?;
        String::from_utf8(bytes).map_err(|_| "a name is not UTF-8".into())
    }
}

fn is_short(content: Content, at: u64) -> bool {
    matches!(content, Content::Until(end) if end - at <= MAX_KEPT_BYTES)
}

/// Returns what a `Constant` node computes.
fn constant_of(node: &Node) -> Option<(Value, Constant)> {
    let value = (*node.outputs.first()?)?;
    if node.op != "Constant" || !node.domain.is_empty() {
        return None;
    }
    let (kind, attribute) = node.attributes.first_key_value()?;
    let constant = match kind.as_str() {
        "value" => attribute.tensor.clone()?,
        "value_int" => Constant { dims: Vec::new(), element: 7, ints: vec![attribute.int] },
        "value_ints" => {
            Constant { dims: vec![attribute.ints.len() as i64], element: 7, ints: attribute.ints.clone() }
        }
        _ => Constant { element: 1, ..Constant::default() },
    };
    Some((value, constant))
}
