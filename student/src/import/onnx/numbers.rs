//! The numbers of ONNX tensors as `f32`, in whatever precision and wherever they are stored.

use super::external::ExternalData;
use super::graph::Constant;
use super::malformed;
use super::names::Named;
use crate::Error;
use crate::export::onnx::proto::{DataLocation, DataType, TensorProto};
use crate::weights::Tensor;
use half::{bf16, f16};
use ndarray::ArrayView2;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// How often the stored numbers may be used on average. Exporters store equal biases of all layers once.
pub const MAX_SHARING: usize = 16;

/// Reads every named constant of the model at `path`.
///
/// # Errors
/// [`Error::Malformed`] when a tensor is not what it claims to be; [`Error::Read`] for a file of external data.
pub fn read_all(path: &Path, constants: &Named<'_>) -> Result<BTreeMap<String, Tensor>, Error> {
    let mut external = ExternalData::beside(path);
    if is_inflated(constants) {
        return Err(malformed(path, format!("its tensors are used more than {MAX_SHARING} times over")));
    }
    let read = |(name, constant): (&String, &Constant<'_>)| {
        let stored = constant.tensor;
        let raw = match stored.data_location() {
            DataLocation::Default => stored.raw_data.clone(),
            DataLocation::External => external.bytes(stored)?,
        };
        let tensor = tensor(stored, &raw);
        let tensor =
            tensor.map_err(|reason| malformed(path, format!("the tensor `{}` {reason}", constant.name)))?;
        Ok((name.clone(), if constant.transposed { transpose(tensor) } else { tensor }))
    };
    constants.iter().map(read).collect()
}

/// Returns the number of elements of a tensor, or `None` when its shape makes none.
pub fn num_elements(tensor: &TensorProto) -> Option<usize> {
    tensor.dims.iter().try_fold(1_usize, |product, &size| product.checked_mul(usize::try_from(size).ok()?))
}

/// Returns the bytes of a floating-point number of a type, or nothing for other types.
pub fn width(data_type: DataType) -> Option<usize> {
    match data_type {
        DataType::Float => Some(4),
        DataType::Float16 | DataType::Bfloat16 => Some(2),
        DataType::Double => Some(8),
        _ => None,
    }
}

/// Says whether a small file would fill the memory by naming one tensor again and again.
fn is_inflated(constants: &Named<'_>) -> bool {
    let size = |tensor| num_elements(tensor).unwrap_or(0);
    let sizes =
        constants.values().map(|constant| (std::ptr::from_ref(constant.tensor), size(constant.tensor)));
    let (mut stored, mut used) = (HashMap::new(), 0_usize);
    for (tensor, size) in sizes {
        stored.insert(tensor, size);
        used = used.saturating_add(size);
    }
    used / MAX_SHARING > stored.into_values().fold(0, usize::saturating_add)
}

/// Returns a tensor as it is stored. `raw`: its bytes, unless the field of its type holds its numbers.
///
/// # Errors
/// Says what is wrong when it holds no floating-point numbers, or not as many as its shape says.
pub fn tensor(stored: &TensorProto, raw: &[u8]) -> Result<Tensor, String> {
    let size = num_elements(stored).ok_or_else(|| format!("has the impossible shape {:?}", stored.dims))?;
    let shape = stored.dims.iter().map(|&size| size as usize).collect();
    let data = numbers(stored, raw)?;
    if data.len() == size {
        Ok(Tensor { shape, data })
    } else {
        Err(format!("holds `{}` numbers, but its shape {shape:?} is that of `{size}`", data.len()))
    }
}

fn numbers(stored: &TensorProto, raw: &[u8]) -> Result<Vec<f32>, String> {
    let halves = || stored.int32_data.iter().map(|&bits| bits as u16);
    match (stored.data_type(), raw.is_empty()) {
        (DataType::Float, false) => elements(raw, f32::from_le_bytes),
        (DataType::Float, true) => Ok(stored.float_data.clone()),
        (DataType::Double, false) => elements(raw, |bytes| f64::from_le_bytes(bytes) as f32),
        (DataType::Double, true) => Ok(stored.double_data.iter().map(|&x| x as f32).collect()),
        (DataType::Float16, false) => elements(raw, |bytes| f16::from_le_bytes(bytes).to_f32()),
        (DataType::Float16, true) => Ok(halves().map(|bits| f16::from_bits(bits).to_f32()).collect()),
        (DataType::Bfloat16, false) => elements(raw, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        (DataType::Bfloat16, true) => Ok(halves().map(|bits| bf16::from_bits(bits).to_f32()).collect()),
        (other, _) => Err(format!("is of type `{other:?}`, which no weights to train from are")),
    }
}

fn elements<const WIDTH: usize>(raw: &[u8], number: impl Fn([u8; WIDTH]) -> f32) -> Result<Vec<f32>, String> {
    match raw.as_chunks() {
        (chunks, []) => Ok(chunks.iter().map(|&bytes| number(bytes)).collect()),
        _ => Err(format!("has {} bytes, which is no multiple of {WIDTH}", raw.len())),
    }
}

fn transpose(Tensor { shape, data }: Tensor) -> Tensor {
    let (rows, columns) = (shape[0], shape[1]);
    let matrix = ArrayView2::from_shape((rows, columns), &data).expect("a tensor holds what its shape says");
    Tensor { shape: vec![columns, rows], data: matrix.t().iter().copied().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(dims: &[i64], data_type: DataType) -> TensorProto {
        TensorProto { dims: dims.to_vec(), data_type: data_type.into(), ..TensorProto::default() }
    }

    #[test]
    fn numbers_are_read_in_every_precision_and_from_every_field() {
        let values = [0.5_f32, -3.0, 65504.0];
        let bits: Vec<u16> = values.iter().map(|&x| f16::from_f32(x).to_bits()).collect();
        let brain: Vec<u16> = values.iter().map(|&x| bf16::from_f32(x).to_bits()).collect();
        let raw = |bits: &[u16]| bits.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let wide = |bits: &[u16]| bits.iter().map(|&x| i32::from(x)).collect();
        let rounded = [0.5, -3.0, bf16::from_f32(65504.0).to_f32()];
        for (field, data_type, bytes, expected) in [
            (
                stored(&[3], DataType::Float),
                "raw f32",
                values.iter().flat_map(|x| x.to_le_bytes()).collect(),
                values,
            ),
            (
                stored(&[3], DataType::Double),
                "raw f64",
                values.iter().flat_map(|&x| f64::from(x).to_le_bytes()).collect(),
                values,
            ),
            (stored(&[3], DataType::Float16), "raw f16", raw(&bits), values),
            (stored(&[3], DataType::Bfloat16), "raw bf16", raw(&brain), rounded),
            (
                TensorProto { float_data: values.to_vec(), ..stored(&[3], DataType::Float) },
                "f32",
                vec![],
                values,
            ),
            (
                TensorProto { double_data: values.map(f64::from).to_vec(), ..stored(&[3], DataType::Double) },
                "f64",
                vec![],
                values,
            ),
            (
                TensorProto { int32_data: wide(&bits), ..stored(&[3], DataType::Float16) },
                "f16",
                vec![],
                values,
            ),
            (
                TensorProto { int32_data: wide(&brain), ..stored(&[3], DataType::Bfloat16) },
                "bf16",
                vec![],
                rounded,
            ),
        ] {
            assert_eq!(tensor(&field, &bytes).unwrap().data, expected, "{data_type}");
        }
    }

    #[test]
    fn a_tensor_that_is_not_what_it_claims_is_refused_before_memory_is_taken() {
        for (dims, data_type, num_bytes, expected) in [
            (vec![i64::MAX, i64::MAX], DataType::Float, 4, "impossible shape"),
            (vec![-1, 4], DataType::Float, 16, "impossible shape"),
            (vec![1 << 40], DataType::Float, 8, "holds `2` numbers"),
            (vec![3], DataType::Float, 8, "holds `2` numbers"),
            (vec![2], DataType::Float, 9, "no multiple of 4"),
            (vec![], DataType::Float, 0, "holds `0` numbers"),
            (vec![2], DataType::Int8, 2, "of type `Int8`"),
        ] {
            let error = tensor(&stored(&dims, data_type), &vec![0; num_bytes]).unwrap_err();
            assert!(error.contains(expected), "{dims:?}: {error}");
        }
    }
    #[test]
    fn an_empty_matrix_of_any_width_can_be_turned() {
        let turned = transpose(Tensor { shape: vec![0, i64::MAX as usize], data: vec![] });
        assert_eq!(turned, Tensor { shape: vec![i64::MAX as usize, 0], data: vec![] });
    }
}
