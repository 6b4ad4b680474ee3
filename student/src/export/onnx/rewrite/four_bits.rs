//! Four bits: matrices in blocks of 32 that share a scale, for the operator that ONNX Runtime has for them.

use super::editor::Editor;
use super::stored::{self, Product};
use crate::export::onnx::ops::int;
use crate::export::onnx::proto::{DataType, NodeProto, OperatorSetIdProto};
use crate::quant::{BLOCK, Blocks, round_blocks};

/// The domain of ONNX Runtime's own operators.
const DOMAIN: &str = "com.microsoft";

/// Writes a product with a matrix in four bits: `MatMulNBits`, and the rest of a `Gemm`.
pub(super) fn multiply(editor: &mut Editor, node: NodeProto, product: &Product) -> Result<(), String> {
    let name = &product.tensor;
    let tensor = editor.tensor(name).ok_or_else(|| format!("the tensor `{name}` is computed"))?;
    let stored = stored::matrix(tensor)?;
    let outputs = product.outputs(&stored);
    let (rows, columns) = outputs.dim();
    let side = if product.transposed { "int4.T" } else { "int4" };
    let (values, scales) = (format!("{name}/{side}"), format!("{name}/{side}/scale"));
    if editor.tensor(&values).is_none() {
        let blocks = columns.div_ceil(BLOCK);
        let rounded: Blocks = round_blocks(outputs);
        editor.store(&values, &[rows, blocks, BLOCK / 2], DataType::Uint8, rounded.values);
        editor.store_floats(&scales, &[rows * blocks], &rounded.scales);
    }
    let y = node.output[0].clone();
    let bias = node.input.get(2).filter(|_| node.op_type == "Gemm").filter(|name| !name.is_empty());
    let attributes = vec![
        int("K", columns as i64),
        int("N", rows as i64),
        int("bits", 4),
        int("block_size", BLOCK as i64),
        int("accuracy_level", ACCURACY),
    ];
    let inputs = [&*node.input[0], &values, &scales];
    let product = match bias {
        None => y.clone(),
        Some(_) => editor.unused(&format!("{y}/product")),
    };
    editor.node("MatMulNBits", &inputs, &[&product], attributes);
    if let Some(added) = editor.nodes.last_mut() {
        added.domain = DOMAIN.to_owned();
    }
    if let Some(bias) = bias {
        editor.node("Add", &[&product, bias], &[&y], vec![]);
    }
    Ok(())
}

/// What the operator may round activations to: 4 stands for eight bits.
const ACCURACY: i64 = 4;

/// Declares the domain of the operator.
pub(super) fn declare(opsets: &mut Vec<OperatorSetIdProto>) {
    if !opsets.iter().any(|set| set.domain == DOMAIN) {
        opsets.push(OperatorSetIdProto { domain: DOMAIN.to_owned(), version: 1 });
    }
}
