//! The operators of opset 17 that models are written with.

use super::proto::{AttributeProto, AttributeType, DataType};
use super::{Nodes, Value};

impl Nodes<'_> {
    /// `a + b`, either of them repeated along dimensions that it lacks.
    pub fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Add", &[a, b], vec![])
    }

    /// `a − b`, likewise.
    pub fn sub(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Sub", &[a, b], vec![])
    }

    /// `a · b` element by element, likewise.
    pub fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Mul", &[a, b], vec![])
    }

    /// `a / b` element by element, likewise.
    pub fn div(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Div", &[a, b], vec![])
    }

    /// The matrix product of the last two dimensions: `a` [.., m, k], `b` [.., k, n] or [k, n], result [.., m, n].
    pub fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        self.node("MatMul", &[a, b], vec![])
    }

    /// `tanh(x)`.
    pub fn tanh(&mut self, x: &Value) -> Value {
        self.node("Tanh", &[x], vec![])
    }

    /// The positive part.
    pub fn relu(&mut self, x: &Value) -> Value {
        self.node("Relu", &[x], vec![])
    }

    /// `x Φ(x) = ½ x (1 + erf(x / √2))`, in the five nodes that runtimes recognise and fuse into one.
    pub fn gelu(&mut self, x: &Value) -> Value {
        let [sqrt_2, one, half] = [std::f32::consts::SQRT_2, 1.0, 0.5].map(|value| self.graph().float(value));
        let z = self.div(x, &sqrt_2);
        let erf = self.node("Erf", &[&z], vec![]);
        let y = self.add(&erf, &one);
        let y = self.mul(x, &y);
        self.mul(&y, &half)
    }

    /// The exponentials of the last dimension, divided by their sum.
    pub fn softmax(&mut self, x: &Value) -> Value {
        self.node("Softmax", &[x], vec![int("axis", -1)])
    }

    /// The normalisation of the last dimension, H: `scale · (x − mean) / √(var + ε) + shift`; `scale`, `shift`: `[H]`.
    pub fn layer_norm(&mut self, x: &Value, scale: &Value, shift: &Value, epsilon: f32) -> Value {
        self.node("LayerNormalization", &[x, scale, shift], vec![int("axis", -1), float("epsilon", epsilon)])
    }

    /// The slices of `x` at `indices` along `axis`, which the dimensions of `indices` replace.
    ///
    /// Runtimes refuse an index outside of `x`.
    pub fn gather(&mut self, x: &Value, indices: &Value, axis: i64) -> Value {
        self.node("Gather", &[x, indices], vec![int("axis", axis)])
    }

    /// The numbers of `x` in another shape; 0 keeps the size at its place, -1 takes what is left.
    pub fn reshape(&mut self, x: &Value, shape: &[i64]) -> Value {
        let shape = self.graph().ints(shape);
        self.node("Reshape", &[x, &shape], vec![])
    }

    /// The numbers of `x` in the shape that is computed as `shape`.
    pub fn reshape_to(&mut self, x: &Value, shape: &Value) -> Value {
        self.node("Reshape", &[x, shape], vec![])
    }

    /// The sizes of `x`, `[rank]`.
    pub fn shape(&mut self, x: &Value) -> Value {
        self.node("Shape", &[x], vec![])
    }

    /// `parts` one after another along `axis`.
    pub fn concat(&mut self, parts: &[&Value], axis: i64) -> Value {
        self.node("Concat", parts, vec![int("axis", axis)])
    }

    /// `x` with its dimensions in the order `perm`.
    pub fn transpose(&mut self, x: &Value, perm: &[i64]) -> Value {
        self.node("Transpose", &[x], vec![ints("perm", perm)])
    }

    /// `x` with dimensions of size 1 at `axes`.
    pub fn unsqueeze(&mut self, x: &Value, axes: &[i64]) -> Value {
        let axes = self.graph().ints(axes);
        self.node("Unsqueeze", &[x, &axes], vec![])
    }

    /// `x` without the dimensions of size 1 at `axes`.
    pub fn squeeze(&mut self, x: &Value, axes: &[i64]) -> Value {
        let axes = self.graph().ints(axes);
        self.node("Squeeze", &[x, &axes], vec![])
    }

    /// `x` as floating-point numbers.
    pub fn cast_to_float(&mut self, x: &Value) -> Value {
        self.node("Cast", &[x], vec![int("to", DataType::Float as i64)])
    }

    /// The whole numbers from 0 up to the size of `x` along `axis`, `[size]`.
    pub fn positions(&mut self, x: &Value, axis: i64) -> Value {
        let size = self.node("Shape", &[x], vec![int("start", axis), int("end", axis + 1)]);
        let size = self.squeeze(&size, &[0]);
        let [zero, one] = [0, 1].map(|value| self.graph().int(value));
        self.node("Range", &[&zero, &size, &one], vec![])
    }
}

pub(super) fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { i, ..attribute(name, AttributeType::Int) }
}

pub(super) fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { ints: ints.to_vec(), ..attribute(name, AttributeType::Ints) }
}

pub(super) fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { f, ..attribute(name, AttributeType::Float) }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: kind.into(), ..AttributeProto::default() }
}
