//! An ONNX model in memory: lowered from a student or read from a file, rewritten, and written.

use super::proto::{
    AttributeType, DataLocation, GraphProto, ModelProto, StringStringEntryProto, TensorProto,
};
use super::{GraphBuilder, MAX_BYTES};
use crate::files::{map, write_atomically};
use crate::import::onnx::external::ExternalData;
use crate::import::onnx::{decode, graph_of, malformed};
use crate::{Architecture, Arena, Error};
use prost::Message;
use prost::bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// An ONNX model whose numbers all stand in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub(crate) proto: ModelProto,
}

impl Model {
    /// Writes a student down as a graph, with `metadata` as its `metadata_props`.
    ///
    /// # Errors
    /// [`Error::Config`] when the model takes more than 1.8 GB, which one ONNX file cannot hold.
    pub fn lower(
        architecture: &impl Architecture,
        params: &Arena,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let num_parameters = architecture.layout().num_parameters();
        if num_parameters > MAX_BYTES / size_of::<f32>() {
            return Err(Error::Config(format!(
                "`{num_parameters}` parameters take more than the {MAX_BYTES} bytes of one ONNX file"
            )));
        }
        let mut graph = GraphBuilder::default();
        architecture.lower(params, &mut graph);
        Ok(Model { proto: graph.finish(metadata) })
    }

    /// Reads a model, whoever made it. External data is taken in, and constants among the nodes become initializers.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Malformed`] when the file is no ONNX model, or one with parts that cannot be rewritten:
    /// branches, loops, operators of its own.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut proto = decode(path, Bytes::from_owner(map(path)?))?;
        graph_of(&proto, path)?;
        if let Some(reason) = unwritable(&proto) {
            return Err(malformed(path, reason));
        }
        if let Some(graph) = &mut proto.graph {
            hoist_constants(graph);
            let mut external = ExternalData::beside(path);
            for tensor in &mut graph.initializer {
                take_in(tensor, &mut external)?;
            }
        }
        Ok(Model { proto })
    }

    /// Returns the bytes of the file that [`Model::write`] writes.
    pub fn num_bytes(&self) -> usize {
        self.proto.encoded_len()
    }

    /// Writes the model as one file. The folder must exist; the same model makes the same bytes.
    ///
    /// # Errors
    /// [`Error::Write`] when the model takes more than 1.8 GB, or when the folder or the disk fails; an older file is
    /// then untouched.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let bytes = self.num_bytes();
        if bytes > MAX_BYTES {
            let reason = format!("`{bytes}` bytes are more than the {MAX_BYTES} of one ONNX file");
            let source = io::Error::new(ErrorKind::FileTooLarge, reason);
            return Err(Error::Write { path: path.to_owned(), source });
        }
        write_atomically(path, |file| file.write_all(&self.proto.encode_to_vec()))
    }

    /// Adds notes, or replaces those under the same keys.
    #[must_use]
    pub fn with_notes(mut self, notes: &BTreeMap<String, String>) -> Self {
        let all = self.metadata().into_iter().chain(notes.clone()).collect::<BTreeMap<_, _>>();
        self.proto.metadata_props =
            all.into_iter().map(|(key, value)| StringStringEntryProto { key, value }).collect();
        self
    }

    /// Returns the notes about where the model comes from.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.proto.metadata_props.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect()
    }
}

/// Says what in a model may use tensors in ways that are not seen here.
fn unwritable(model: &ModelProto) -> Option<String> {
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    let attributes = nodes.flat_map(|node| node.attribute.iter().map(move |attribute| (node, attribute)));
    let known = |kind| {
        use AttributeType::{Float, Floats, Int, Ints, String, Strings, Tensor, Tensors, Undefined};
        matches!(kind, Undefined | Float | Floats | Int | Ints | String | Strings | Tensor | Tensors)
    };
    let lost = attributes.into_iter().find(|(_, attribute)| !known(attribute.r#type()));
    if let Some((node, attribute)) = lost {
        let (name, kind) = (&attribute.name, attribute.r#type());
        return Some(format!(
            "node `{}` has `{name}` of type `{kind:?}`, which cannot be rewritten",
            node.name
        ));
    }
    (!model.functions.is_empty()).then(|| "it defines operators of its own, which cannot be rewritten".into())
}

/// Turns the tensors of `Constant` nodes into initializers.
fn hoist_constants(graph: &mut GraphProto) {
    for mut node in std::mem::take(&mut graph.node) {
        let is_constant = node.op_type == "Constant" && node.output.len() == 1;
        let value = node.attribute.iter_mut().find(|attribute| attribute.name == "value");
        match value.filter(|_| is_constant).and_then(|value| value.t.take()) {
            Some(tensor) => {
                graph.initializer.push(TensorProto { name: node.output[0].clone(), ..tensor });
            }
            None => graph.node.push(node),
        }
    }
}

/// Takes the numbers of a tensor out of the file beside the model.
fn take_in(tensor: &mut TensorProto, external: &mut ExternalData<'_>) -> Result<(), Error> {
    if tensor.data_location() == DataLocation::External {
        tensor.raw_data = external.bytes(tensor)?;
        tensor.external_data.clear();
        tensor.set_data_location(DataLocation::Default);
    }
    Ok(())
}
