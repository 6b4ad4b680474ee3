//! Tensors of ONNX Runtime, in and out.

use half::f16;
use ndarray::{Array2, CowArray, IxDyn};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions};
use ort::value::{DynValue, Outlet, Tensor, TensorElementType, ValueType};

use crate::masked_lm::rows_at;
use crate::{Dimension, Element, TensorInfo};

/// Asks for the outputs named and no other.
pub(super) fn only(names: &[&str]) -> ort::Result<RunOptions<HasSelectedOutputs>> {
    let selected = names.iter().fold(OutputSelector::no_default(), |all, name| all.with(*name));
    Ok(RunOptions::new()?.with_outputs(selected))
}

pub(super) fn describe(outlets: &[Outlet]) -> Vec<TensorInfo> {
    let describe = |outlet: &Outlet| {
        let (element, shape) = describe_type(outlet.dtype());
        TensorInfo { name: outlet.name().into(), element, shape }
    };
    outlets.iter().map(describe).collect()
}

fn describe_type(dtype: &ValueType) -> (Element, Vec<Dimension>) {
    let ValueType::Tensor { ty, shape, dimension_symbols } = dtype else {
        return (Element::Other(dtype.to_string()), Vec::new());
    };
    let element = match ty {
        TensorElementType::Int32 => Element::Int32,
        TensorElementType::Int64 => Element::Int64,
        TensorElementType::Float16 => Element::Float16,
        TensorElementType::Float32 => Element::Float32,
        TensorElementType::Float64 => Element::Float64,
        other => Element::Other(other.to_string()),
    };
    let axes = shape.iter().zip(dimension_symbols.iter());
    let axis = |(&size, symbol): (&i64, &String)| {
        usize::try_from(size).map_or_else(|_| Dimension::Symbolic(symbol.clone()), Dimension::Fixed)
    };
    (element, axes.map(axis).collect())
}

/// Makes a tensor of the type that the input wants; what does not fit 32 bits saturates, and no table is that large.
pub(super) fn feed((input, values): (&TensorInfo, Array2<i64>)) -> ort::Result<(String, DynValue)> {
    let narrow = |value| i32::try_from(value).unwrap_or(i32::MAX);
    let value = match input.element {
        Element::Int32 => Tensor::from_array(values.mapv(narrow))?.into_dyn(),
        _ => Tensor::from_array(values)?.into_dyn(),
    };
    Ok((input.name.clone(), value))
}

/// Returns a tensor as single-precision floats: as it lies there, where it holds such.
pub(super) fn floats(value: &DynValue) -> ort::Result<CowArray<'_, f32, IxDyn>> {
    Ok(match value.dtype().tensor_type() {
        Some(TensorElementType::Float16) => value.try_extract_array::<f16>()?.mapv(f16::to_f32).into(),
        Some(TensorElementType::Float64) => {
            value.try_extract_array::<f64>()?.mapv(|value| value as f32).into()
        }
        _ => value.try_extract_array::<f32>()?.into(),
    })
}

/// Copies the rows at these places out of a float tensor [batch, T, V]; the shape, where that is another.
pub(super) fn floats_at(
    value: &DynValue,
    places: &[[usize; 2]],
    sizes: [usize; 2],
) -> ort::Result<Result<Array2<f32>, Vec<usize>>> {
    Ok(match value.dtype().tensor_type() {
        Some(TensorElementType::Float16) => {
            rows_at(value.try_extract_array::<f16>()?, places, sizes, f16::to_f32)
        }
        Some(TensorElementType::Float64) => {
            rows_at(value.try_extract_array::<f64>()?, places, sizes, |value| value as f32)
        }
        _ => rows_at(value.try_extract_array::<f32>()?, places, sizes, |value| value),
    })
}
