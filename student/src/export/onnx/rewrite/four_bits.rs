//! Four bits: blocks of numbers that share a scale, for the operators that ONNX Runtime has for them.

use super::editor::Editor;
use super::stored::{Lookup, Product};
use crate::export::onnx::ops::int;
use crate::export::onnx::proto::{AttributeProto, DataType, GraphProto, NodeProto, OperatorSetIdProto};
use crate::quant::{BLOCK, TABLE_BLOCK, round_blocks};

/// The domain of ONNX Runtime's own operators.
const DOMAIN: &str = "com.microsoft";

/// Writes a product with a matrix in four bits: `MatMulNBits`, and the rest of a `Gemm`.
pub(super) fn multiply(editor: &mut Editor, node: NodeProto, product: &Product) -> Result<(), String> {
    let name = &product.tensor;
    let stored = editor.matrix(name)?;
    let outputs = product.outputs(&stored);
    let (rows, columns) = outputs.dim();
    let side = if product.transposed { "int4.T" } else { "int4" };
    let (values, scales) = (format!("{name}/{side}"), format!("{name}/{side}/scale"));
    if editor.tensor(&values).is_none() {
        let blocks = columns.div_ceil(BLOCK);
        let rounded = round_blocks(outputs, BLOCK);
        let bytes = rounded.values.chunks(columns).flat_map(unsigned).collect();
        editor.store(&values, &[rows, blocks, BLOCK / 2], DataType::Uint8, bytes);
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
    own_node(editor, "MatMulNBits", &inputs, &product, attributes);
    if let Some(bias) = bias {
        editor.node("Add", &[&product, bias], &[&y], vec![]);
    }
    Ok(())
}

/// What the operator may round activations to: 4 stands for eight bits.
const ACCURACY: i64 = 4;

/// Writes a lookup in a table in four bits: `GatherBlockQuantized`.
pub(super) fn look_up(editor: &mut Editor, node: NodeProto, lookup: &Lookup) -> Result<(), String> {
    let name = &lookup.tensor;
    let (values, scales) = (format!("{name}/int4"), format!("{name}/int4/scale"));
    if editor.tensor(&values).is_none() {
        let stored = editor.matrix(name)?;
        let (rows, columns) = stored.dim();
        let rounded = round_blocks(stored.view(), TABLE_BLOCK);
        let bytes = rounded.values.chunks(2).map(|pair| nibbles(pair, 0)).collect();
        // Of the types that the operator takes, this one has the zero point 0 in every runtime.
        editor.store(&values, &[rows, columns], DataType::Int4, bytes);
        editor.store_floats(&scales, &[rows, columns.div_ceil(TABLE_BLOCK)], &rounded.scales);
    }
    let attributes =
        vec![int("gather_axis", 0), int("quantize_axis", 1), int("block_size", TABLE_BLOCK as i64)];
    let inputs = [&*values, &node.input[1], &scales];
    own_node(editor, "GatherBlockQuantized", &inputs, &node.output[0], attributes);
    Ok(())
}

/// Returns a row for `MatMulNBits`, whose values have the zero point 8: whole blocks, filled up with zeros.
fn unsigned(row: &[i8]) -> Vec<u8> {
    let mut row = row.to_vec();
    row.resize(row.len().next_multiple_of(BLOCK), 0);
    row.chunks(2).map(|pair| nibbles(pair, 8)).collect()
}

/// Returns two values in a byte, the first in its low half; of one value alone, the high half is nothing.
fn nibbles(pair: &[i8], zero: i8) -> u8 {
    let nibble = |i: usize| pair.get(i).map_or(0, |&value| (value + zero) as u8 & 15);
    nibble(0) | nibble(1) << 4
}

/// Adds one of ONNX Runtime's own nodes.
fn own_node(
    editor: &mut Editor,
    operator: &str,
    inputs: &[&str],
    output: &str,
    attributes: Vec<AttributeProto>,
) {
    editor.node(operator, inputs, &[output], attributes);
    if let Some(added) = editor.nodes.last_mut() {
        added.domain = DOMAIN.to_owned();
    }
}

/// Declares the domain of the operators where a graph has one of them.
pub(super) fn declare(graph: &GraphProto, opsets: &mut Vec<OperatorSetIdProto>) {
    let is_used = graph.node.iter().any(|node| node.domain == DOMAIN);
    if is_used && !opsets.iter().any(|set| set.domain == DOMAIN) {
        opsets.push(OperatorSetIdProto { domain: DOMAIN.to_owned(), version: 1 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_two_in_a_byte_and_rows_of_matrices_are_filled_up() {
        assert_eq!([nibbles(&[-8, 7], 0), nibbles(&[-1], 0), nibbles(&[0, -8], 8)], [0x78, 0x0f, 0x08]);
        let row = unsigned(&[1, -1, 3]);
        assert_eq!((row.len(), row[0], row[1]), (16, 9 | 7 << 4, 11 | 8 << 4));
        assert!(row[2..].iter().all(|&byte| byte == 8 | 8 << 4));
    }
}
