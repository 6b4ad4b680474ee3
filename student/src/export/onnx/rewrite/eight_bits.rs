//! Eight bits: matrices multiplied in whole numbers, tables read in them.

use super::editor::Editor;
use super::stored::{Lookup, Product};
use crate::export::onnx::ops::{int, ints};
use crate::export::onnx::proto::{DataType, NodeProto};
use crate::quant::{Range, round_rows};
use ndarray::ArrayView2;
use std::collections::HashMap;

/// The tensors that have been rounded so far, and the activations.
pub(super) struct EightBits {
    range: Range,
    tables: HashMap<String, Range>,
    matrices: HashMap<String, Matrix>,
    activations: HashMap<String, Activation>,
}

/// The names of a rounded matrix: values [in, out] or, of a table, [rows, columns]; scales [out] or [rows].
#[derive(Clone)]
struct Matrix {
    values: String,
    scales: String,
}

/// The names of an activation in eight bits: values, scale and zero point.
#[derive(Clone)]
struct Activation([String; 3]);

impl EightBits {
    /// Starts with nothing rounded. `tables`: the tensors that are read as tables, and the range of each.
    pub(super) fn new(range: Range, tables: HashMap<String, Range>) -> Self {
        EightBits { range, tables, matrices: HashMap::new(), activations: HashMap::new() }
    }

    /// Says whether a tensor is one of the tables.
    pub(super) fn has_table(&self, tensor: &str) -> bool {
        self.tables.contains_key(tensor)
    }

    /// Writes a product in whole numbers: `y = scale_x scale_w · (q_x − zero_x) q_w`, and the rest of a `Gemm`.
    ///
    /// An activation has one scale, found while the model runs, and is rounded once for all that multiply it.
    pub(super) fn multiply(
        &mut self,
        editor: &mut Editor,
        node: NodeProto,
        product: &Product,
    ) -> Result<(), String> {
        let Matrix { values, scales } = self.matrix(editor, product)?;
        let Activation([x, x_scale, x_zero]) = self.activation(editor, &node.input[0]);
        let y = node.output[0].clone();
        let bias = node.input.get(2).filter(|_| node.op_type == "Gemm").filter(|name| !name.is_empty());
        let whole = editor.value("MatMulInteger", &[&x, &values, &x_zero], &format!("{y}/integer"), vec![]);
        let cast = vec![int("to", DataType::Float as i64)];
        let whole = editor.value("Cast", &[&whole], &format!("{y}/float"), cast);
        let scale = editor.value("Mul", &[&x_scale, &scales], &format!("{y}/scale"), vec![]);
        match bias {
            None => editor.node("Mul", &[&whole, &scale], &[&y], vec![]),
            Some(bias) => {
                let product = editor.value("Mul", &[&whole, &scale], &format!("{y}/product"), vec![]);
                editor.node("Add", &[&product, bias], &[&y], vec![]);
            }
        }
        Ok(())
    }

    /// Reads rows of a table in whole numbers, and their scales.
    pub(super) fn look_up(
        &mut self,
        editor: &mut Editor,
        node: NodeProto,
        lookup: &Lookup,
    ) -> Result<(), String> {
        let Matrix { values, scales } = self.table(editor, &lookup.tensor)?;
        let (ids, y) = (&node.input[1], &node.output[0]);
        let rows = editor.value("Gather", &[&values, ids], &format!("{y}/integer"), vec![int("axis", 0)]);
        let cast = vec![int("to", DataType::Float as i64)];
        let rows = editor.value("Cast", &[&rows], &format!("{y}/float"), cast);
        let scale = editor.value("Gather", &[&scales, ids], &format!("{y}/scale"), vec![int("axis", 0)]);
        editor.node("Mul", &[&rows, &scale], &[y], vec![]);
        Ok(())
    }

    fn activation(&mut self, editor: &mut Editor, x: &str) -> Activation {
        if let Some(known) = self.activations.get(x) {
            return known.clone();
        }
        let names = ["quantized", "scale", "zero_point"].map(|part| editor.unused(&format!("{x}/{part}")));
        editor.node("DynamicQuantizeLinear", &[x], &[&names[0], &names[1], &names[2]], vec![]);
        let activation = Activation(names);
        self.activations.insert(x.to_owned(), activation.clone());
        activation
    }

    /// Returns a matrix as [in, out], rounded by outputs.
    fn matrix(&mut self, editor: &mut Editor, product: &Product) -> Result<Matrix, String> {
        let key = format!("{}{}", product.tensor, if product.transposed { " transposed" } else { "" });
        if let Some(known) = self.matrices.get(&key) {
            return Ok(known.clone());
        }
        let matrix = if self.tables.contains_key(&product.tensor) {
            // The rows of a table are the outputs of the product with its transpose.
            let Matrix { values, scales } = self.table(editor, &product.tensor)?;
            let turned =
                editor.value("Transpose", &[&values], &format!("{values}.T"), vec![ints("perm", &[1, 0])]);
            let shape = [-1_i64].map(i64::to_le_bytes).concat();
            let shape = editor.store("shape/vector", &[1], DataType::Int64, shape);
            let flat = editor.value("Reshape", &[&scales, &shape], &format!("{scales}/vector"), vec![]);
            Matrix { values: turned, scales: flat }
        } else {
            let stored = editor.matrix(&product.tensor)?;
            let outputs = product.outputs(&stored);
            let rounded = round_rows(outputs, self.range);
            let values = ArrayView2::from_shape(outputs.dim(), &rounded.values)
                .expect("a matrix is rounded number by number");
            let bytes = values.t().iter().map(|&value| value as u8).collect();
            let shape = [outputs.ncols(), outputs.nrows()];
            let values = editor.store(&format!("{}/int8", product.tensor), &shape, DataType::Int8, bytes);
            let scales =
                editor.store_floats(&format!("{}/scale", product.tensor), &[shape[1]], &rounded.scales);
            Matrix { values, scales }
        };
        self.matrices.insert(key, matrix.clone());
        Ok(matrix)
    }

    /// Returns a table as it is stored, rounded by rows; scales are [rows, 1].
    fn table(&mut self, editor: &mut Editor, tensor: &str) -> Result<Matrix, String> {
        let key = format!("{tensor} by rows");
        if let Some(known) = self.matrices.get(&key) {
            return Ok(known.clone());
        }
        let stored = editor.matrix(tensor)?;
        let rounded = round_rows(stored.view(), self.tables.get(tensor).copied().unwrap_or_default());
        let bytes = rounded.values.iter().map(|&value| value as u8).collect();
        let shape = [stored.nrows(), stored.ncols()];
        let values = editor.store(&format!("{tensor}/int8"), &shape, DataType::Int8, bytes);
        let scales = editor.store_floats(&format!("{tensor}/scale"), &[shape[0], 1], &rounded.scales);
        let table = Matrix { values, scales };
        self.matrices.insert(key, table.clone());
        Ok(table)
    }
}
