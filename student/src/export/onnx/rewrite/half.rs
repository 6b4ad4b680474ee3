//! Sixteen bits: tensors stored in half precision, and widened when the model is loaded.

use super::Storage;
use crate::export::onnx::ops::int;
use crate::export::onnx::proto::{DataType, GraphProto, NodeProto, TensorProto};
use crate::import::onnx::numbers;
use ::half::f16;

/// A tensor with fewer numbers stays in single precision: its node would take as much as it saves.
const MIN_NUMBERS: usize = 256;

/// Stores every larger tensor in half precision, with a `Cast` that runtimes carry out once, while they load the graph.
///
/// A tensor with a number beyond the range of half precision stays as it is.
pub(super) fn store(graph: &mut GraphProto, storage: &Storage<'_>) -> Result<(), String> {
    let mut casts = Vec::new();
    for tensor in &mut graph.initializer {
        let kept = storage.excludes([tensor.name.trim_end_matches(".T"), &tensor.name]);
        if let Some(bytes) = halves(tensor)?.filter(|_| !kept) {
            let name = tensor.name.clone();
            let dims = std::mem::take(&mut tensor.dims);
            *tensor = TensorProto { name: format!("{name}/half"), dims, ..TensorProto::default() };
            tensor.set_data_type(DataType::Float16);
            tensor.raw_data = bytes.into();
            casts.push(NodeProto {
                input: vec![tensor.name.clone()],
                name: format!("{name}/widened"),
                output: vec![name],
                op_type: "Cast".to_owned(),
                attribute: vec![int("to", DataType::Float as i64)],
                ..NodeProto::default()
            });
        }
    }
    // Files of old versions list the tensors among the inputs.
    graph.input.retain(|input| !casts.iter().any(|cast| cast.output[0] == input.name));
    graph.node.splice(0..0, casts);
    Ok(())
}

/// Returns the numbers of a tensor in half precision, or nothing when it is to stay as it is.
fn halves(tensor: &TensorProto) -> Result<Option<Vec<u8>>, String> {
    let is_large = numbers::num_elements(tensor).is_some_and(|count| count >= MIN_NUMBERS);
    if tensor.data_type() != DataType::Float || !is_large {
        return Ok(None);
    }
    let numbers = numbers::tensor(tensor, &tensor.raw_data)
        .map_err(|reason| format!("the tensor `{}` {reason}", tensor.name))?;
    let halves: Vec<f16> = numbers.data.into_iter().map(f16::from_f32).collect();
    let fits = halves.iter().all(|x| x.is_finite());
    Ok(fits.then(|| halves.iter().flat_map(|x| x.to_le_bytes()).collect()))
}
