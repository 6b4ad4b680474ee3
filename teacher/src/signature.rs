//! Decides which inputs and outputs of a graph play which role.
//!
//! Pure: it sees names, element types and shapes only, so each rule has a test without a model.

use std::fmt;

use crate::Error;

/// Names that the caller gives to inputs and outputs with unusual ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The token ids; usually `input_ids`.
    pub input_ids: Option<String>,
    /// One for tokens, zero for padding; usually `attention_mask`.
    pub attention_mask: Option<String>,
    /// The segment of each token; usually `token_type_ids`, and often absent.
    pub token_type_ids: Option<String>,
    /// The position of each token; usually `position_ids`, and mostly absent.
    pub position_ids: Option<String>,
    /// The logits; usually `logits`.
    pub logits: Option<String>,
}

/// What an element of a tensor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// IEEE half precision.
    Float16,
    /// Single precision.
    Float32,
    /// Double precision.
    Float64,
    /// Anything else, by its name.
    Other(String),
}

/// One axis of a tensor as the graph declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// A fixed size.
    Fixed(usize),
    /// A size known only at run time; the name may be empty.
    Symbolic(String),
}

/// An input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub element: Element,
    /// Its axes; empty also where the graph does not declare a shape.
    pub shape: Vec<Dimension>,
}

/// What a model says something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// Each sequence: logits of classes, [batch, classes].
    Classes,
    /// Each token: logits of all words, [batch, sequence, vocabulary].
    Words,
    /// Each sequence, or nothing: a body with a classifier or without one.
    ClassesOrNone,
}

/// Which tensors of a graph play which role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The token ids, [batch, sequence].
    pub input_ids: TensorInfo,
    /// One for tokens, zero for padding, [batch, sequence].
    pub attention_mask: TensorInfo,
    /// The segment of each token, [batch, sequence], where the graph wants it.
    pub token_type_ids: Option<TensorInfo>,
    /// The position of each token, [batch, sequence], where the graph wants it.
    pub position_ids: Option<TensorInfo>,
    /// The logits, [batch, classes]; of a masked language model [batch, sequence, vocabulary]; none in a body without a
    /// classifier.
    pub logits: Option<TensorInfo>,
}

impl Signature {
    /// Returns the number of logits for each sequence, C, where the graph declares it.
    pub fn num_classes(&self) -> Option<usize> {
        match self.logits.as_ref()?.shape.as_slice() {
            [_, Dimension::Fixed(classes)] => Some(*classes),
            _ => None,
        }
    }

    /// Assigns the roles in a model of this kind; `graph` is what errors call the graph.
    pub(crate) fn of(
        graph: &str,
        inputs: &[TensorInfo],
        outputs: &[TensorInfo],
        names: &Names,
        head: Head,
    ) -> Result<Signature, Error> {
        let find = |role: &'static str, name: &Option<String>| {
            let wanted = name.as_deref().unwrap_or(role);
            match inputs.iter().find(|input| input.name == wanted) {
                Some(input) => checked_input(graph, input).map(Some),
                None if name.is_none() => Ok(None),
                None => Err(missing_input(graph, role, wanted, inputs)),
            }
        };
        let need = |role, name| find(role, name)?.ok_or_else(|| missing_input(graph, role, role, inputs));
        let signature = Signature {
            input_ids: need("input_ids", &names.input_ids)?,
            attention_mask: need("attention_mask", &names.attention_mask)?,
            token_type_ids: find("token_type_ids", &names.token_type_ids)?,
            position_ids: find("position_ids", &names.position_ids)?,
            logits: match logits(graph, outputs, names.logits.as_deref(), head) {
                Err(_) if head == Head::ClassesOrNone && names.logits.is_none() => None,
                found => Some(found?),
            },
        };
        match inputs.iter().find(|input| !signature.fills(&input.name)) {
            Some(input) => Err(Error::UnknownInput {
                graph: graph.into(),
                name: input.name.clone(),
                found: list(inputs),
            }),
            None => Ok(signature),
        }
    }

    fn fills(&self, name: &str) -> bool {
        [
            Some(&self.input_ids),
            Some(&self.attention_mask),
            self.token_type_ids.as_ref(),
            self.position_ids.as_ref(),
        ]
        .into_iter()
        .flatten()
        .any(|input| input.name == name)
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Element::Int32 => "int32",
            Element::Int64 => "int64",
            Element::Float16 => "float16",
            Element::Float32 => "float32",
            Element::Float64 => "float64",
            Element::Other(name) => name,
        })
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dimension::Fixed(size) => size.fmt(f),
            Dimension::Symbolic(name) if name.is_empty() => f.write_str("?"),
            Dimension::Symbolic(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes: Vec<_> = self.shape.iter().map(Dimension::to_string).collect();
        write!(f, "`{}` ({} [{}])", self.name, self.element, axes.join(", "))
    }
}

fn list<'a>(tensors: impl IntoIterator<Item = &'a TensorInfo>) -> String {
    let texts: Vec<_> = tensors.into_iter().map(TensorInfo::to_string).collect();
    if texts.is_empty() { "none".into() } else { texts.join(", ") }
}

fn missing_input(graph: &str, role: &'static str, name: &str, inputs: &[TensorInfo]) -> Error {
    Error::MissingInput { graph: graph.into(), role, name: name.into(), found: list(inputs) }
}

/// Accepts integers whose axes are free: a batch of any size, sequences of any length.
fn checked_input(graph: &str, input: &TensorInfo) -> Result<TensorInfo, Error> {
    let integers = matches!(input.element, Element::Int32 | Element::Int64);
    let free = matches!(input.shape.as_slice(), [] | [Dimension::Symbolic(_), Dimension::Symbolic(_)]);
    if integers && free {
        return Ok(input.clone());
    }
    Err(Error::UnusableTensor {
        graph: graph.into(),
        what: format!("the input {input}"),
        expected: "int64 or int32 with a free batch and a free sequence axis".into(),
    })
}

/// Finds the logits: the output named by the caller, or else `logits`, or else the only one that could be.
fn logits(graph: &str, outputs: &[TensorInfo], name: Option<&str>, head: Head) -> Result<TensorInfo, Error> {
    if let Some(output) = outputs.iter().find(|output| output.name == name.unwrap_or("logits")) {
        return if head.fits(output) { Ok(output.clone()) } else { Err(head.refuse(graph, output)) };
    }
    if let Some(name) = name {
        return Err(Error::MissingOutput { graph: graph.into(), name: name.into(), found: list(outputs) });
    }
    let candidates: Vec<_> = outputs.iter().filter(|output| head.may_be_logits(output)).collect();
    match (candidates.as_slice(), head) {
        ([output], _) => Ok((*output).clone()),
        ([], Head::Classes | Head::ClassesOrNone) => Err(not_a_classifier(graph, outputs)),
        ([], Head::Words) => Err(Error::NotAMaskedLm { graph: graph.into(), found: list(outputs) }),
        _ => Err(Error::AmbiguousLogits { graph: graph.into(), candidates: list(candidates) }),
    }
}

/// Says that none of the outputs is a classifier's.
pub(crate) fn not_a_classifier(graph: &str, outputs: &[TensorInfo]) -> Error {
    Error::NotAClassifier { graph: graph.into(), found: list(outputs) }
}

impl Head {
    fn rank(self) -> usize {
        match self {
            Head::Classes | Head::ClassesOrNone => 2,
            Head::Words => 3,
        }
    }

    /// Accepts floats in as many axes, all but the last of them free; an undeclared shape is checked at the first run.
    fn fits(self, output: &TensorInfo) -> bool {
        let free = match (self, output.shape.as_slice()) {
            (_, []) => true,
            (Head::Classes | Head::ClassesOrNone, [batch, _]) => is_free(batch),
            (Head::Words, [batch, sequence, _]) => is_free(batch) && is_free(sequence),
            _ => false,
        };
        matches!(output.element, Element::Float16 | Element::Float32 | Element::Float64) && free
    }

    /// Vectors have the logits' shape, and probabilities have lost their scale: neither is taken unasked.
    fn may_be_logits(self, output: &TensorInfo) -> bool {
        let name = output.name.to_ascii_lowercase();
        let other =
            ["pooler", "pooled", "embed", "hidden", "prob", "softmax"].iter().any(|word| name.contains(word));
        output.shape.len() == self.rank() && self.fits(output) && !other
    }

    fn refuse(self, graph: &str, output: &TensorInfo) -> Error {
        let expected = match self {
            Head::Classes | Head::ClassesOrNone => "a float output [batch, classes] with a free batch axis",
            Head::Words => {
                "a float output [batch, sequence, vocabulary] with a free batch and a free sequence axis"
            }
        };
        Error::UnusableTensor {
            graph: graph.into(),
            what: format!("the output {output}"),
            expected: expected.into(),
        }
    }
}

fn is_free(axis: &Dimension) -> bool {
    matches!(axis, Dimension::Symbolic(_))
}

#[cfg(test)]
pub(crate) mod tests;
