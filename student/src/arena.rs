//! Where numbers live: one flat [`Arena`] described by one [`Layout`].
//!
//! A layer holds no numbers, only [`Slot`]s: typed addresses. Parameters, gradients and both Adam moments are arenas of
//! the same layout, so that optimiser, checkpoint, export and gradient checks are one loop each.

use crate::Real;
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use std::ops::Range;

/// The address of a tensor of rank `R` in an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot<const R: usize> {
    offset: usize,
    shape: [usize; R],
}

impl<const R: usize> Slot<R> {
    /// Returns the shape of the tensor.
    pub fn shape(&self) -> [usize; R] {
        self.shape
    }

    /// Returns the elements of the arena that belong to the tensor, in row-major order.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.shape.iter().product::<usize>()
    }
}

/// What a tensor is for; it decides how the tensor starts and whether weight decay applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A weight matrix: starts normally distributed, decays.
    Matrix,
    /// A table with one row for each token id, starting and decaying as a matrix. A batch reads the rows of its own ids
    /// and no others, so that the optimiser may put off the rest.
    Table,
    /// A bias: starts at zero, does not decay.
    Bias,
    /// The scale of a normalisation: starts at one, does not decay.
    Scale,
}

/// One row of the table of tensors.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name in a checkpoint, as in Hugging Face's.
    pub name: String,
    /// The shape; matrices of linear layers are `[out, in]`.
    pub shape: Vec<usize>,
    /// What the tensor is for.
    pub role: Role,
    offset: usize,
}

impl Entry {
    /// Returns the elements of the arena that belong to the tensor.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.shape.iter().product::<usize>()
    }

    /// Says whether weight decay applies to the tensor.
    pub fn decays(&self) -> bool {
        matches!(self.role, Role::Matrix | Role::Table)
    }
}

/// The table of all tensors of a model, in the order of their declaration.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    entries: Vec<Entry>,
    len: usize,
}

impl Layout {
    /// Returns the rows of the table.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the number of parameters.
    pub fn num_parameters(&self) -> usize {
        self.len
    }

    /// Returns the row called `name`.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// Returns the table that is read by token ids, [V, H], if the model has one.
    pub fn table(&self) -> Option<Slot<2>> {
        let entry = self.entries.iter().find(|entry| entry.role == Role::Table)?;
        Some(Slot { offset: entry.offset, shape: [entry.shape[0], entry.shape[1]] })
    }

    /// Says that a batch reads every row of the table of token ids from now on: it is a matrix as any other.
    pub(crate) fn read_whole_table(&mut self) {
        let tables = self.entries.iter_mut().filter(|entry| entry.role == Role::Table);
        tables.for_each(|entry| entry.role = Role::Matrix);
    }

    /// Gives every tensor another name.
    pub(crate) fn rename(&mut self, to: impl Fn(&str) -> String) {
        self.entries.iter_mut().for_each(|entry| entry.name = to(&entry.name));
    }

    /// Starts declaring tensors whose names begin with `name`.
    pub fn scope(&mut self, name: &str) -> Scope<'_> {
        Scope { layout: self, prefix: name.to_owned() }
    }

    fn declare<const R: usize>(&mut self, name: String, shape: [usize; R], role: Role) -> Slot<R> {
        assert!(self.entry(&name).is_none(), "the tensor `{name}` is declared twice");
        let offset = self.len;
        self.entries.push(Entry { name, shape: shape.to_vec(), role, offset });
        self.len += shape.iter().product::<usize>();
        Slot { offset, shape }
    }
}

/// A place in the tree of names, where a layer declares its tensors.
pub struct Scope<'a> {
    layout: &'a mut Layout,
    prefix: String,
}

impl Scope<'_> {
    /// Enters the part of the tree below `name`.
    pub fn at(&mut self, name: impl std::fmt::Display) -> Scope<'_> {
        let prefix = self.path(name);
        Scope { layout: self.layout, prefix }
    }

    /// Returns this place again, for a layer that declares below it without a name of its own.
    pub fn at_self(&mut self) -> Scope<'_> {
        Scope { layout: self.layout, prefix: self.prefix.clone() }
    }

    /// Declares a weight matrix.
    pub fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Slot<2> {
        let name = self.path(name);
        self.layout.declare(name, [rows, columns], Role::Matrix)
    }

    /// Declares the table with one row for each token id, of which a batch reads only the rows of its own ids.
    ///
    /// # Panics
    /// When there is one already.
    pub fn table(&mut self, name: &str, rows: usize, columns: usize) -> Slot<2> {
        let name = self.path(name);
        assert!(self.layout.table().is_none(), "`{name}` would be a second table that is read by token ids");
        self.layout.declare(name, [rows, columns], Role::Table)
    }

    /// Declares a vector that starts at zero.
    pub fn bias(&mut self, name: &str, len: usize) -> Slot<1> {
        let name = self.path(name);
        self.layout.declare(name, [len], Role::Bias)
    }

    /// Declares a vector that starts at one.
    pub fn scale(&mut self, name: &str, len: usize) -> Slot<1> {
        let name = self.path(name);
        self.layout.declare(name, [len], Role::Scale)
    }

    fn path(&self, name: impl std::fmt::Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }
}

/// The numbers of one kind (parameters, gradients, a moment) of a whole model.
#[derive(Clone, Debug, PartialEq)]
pub struct Arena<F = f32> {
    data: Vec<F>,
}

impl<F: Real> Arena<F> {
    /// Returns an arena of zeros.
    pub fn zeros(layout: &Layout) -> Self {
        Arena { data: vec![F::zero(); layout.len] }
    }

    /// Takes over `data`, or gives it back when it is not of the layout's length.
    pub fn from_vec(layout: &Layout, data: Vec<F>) -> Result<Self, Vec<F>> {
        if data.len() == layout.len { Ok(Arena { data }) } else { Err(data) }
    }

    /// Returns every number, in the order of the layout.
    pub fn data(&self) -> &[F] {
        &self.data
    }

    /// Returns every number for change, in the order of the layout.
    pub fn data_mut(&mut self) -> &mut [F] {
        &mut self.data
    }

    /// Converts every number, for instance to check gradients in `f64`.
    pub fn cast<G: Real>(&self) -> Arena<G> {
        Arena { data: self.data.iter().map(|&x| G::of(x.f64())).collect() }
    }

    /// Returns the matrix at `slot`.
    pub fn matrix(&self, slot: Slot<2>) -> ArrayView2<'_, F> {
        ArrayView2::from_shape(slot.shape, &self.data[slot.range()]).expect("a slot's range has its shape")
    }

    /// Returns the matrix at `slot` for change.
    pub fn matrix_mut(&mut self, slot: Slot<2>) -> ArrayViewMut2<'_, F> {
        ArrayViewMut2::from_shape(slot.shape, &mut self.data[slot.range()])
            .expect("a slot's range has its shape")
    }

    /// Returns the vector at `slot`.
    pub fn vector(&self, slot: Slot<1>) -> ArrayView1<'_, F> {
        ArrayView1::from(&self.data[slot.range()])
    }

    /// Returns the vector at `slot` for change.
    pub fn vector_mut(&mut self, slot: Slot<1>) -> ArrayViewMut1<'_, F> {
        ArrayViewMut1::from(&mut self.data[slot.range()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_one_layout_do_not_overlap_and_fill_it() {
        let mut layout = Layout::default();
        let (weight, bias) = {
            let mut scope = layout.scope("layer");
            let mut inner = scope.at(0);
            (inner.matrix("weight", 2, 3), inner.bias("bias", 2))
        };
        assert_eq!((weight.range(), bias.range()), (0..6, 6..8));
        assert_eq!(layout.num_parameters(), 8);
        let names: Vec<_> = layout.entries().iter().map(|e| (e.name.as_str(), e.decays())).collect();
        assert_eq!(names, [("layer.0.weight", true), ("layer.0.bias", false)]);
    }

    #[test]
    fn the_table_of_token_ids_decays_as_a_matrix_and_is_found_again() {
        let mut layout = Layout::default();
        let mut scope = layout.scope("");
        scope.bias("bias", 3);
        let table = scope.table("words", 5, 2);
        assert_eq!(layout.table(), Some(table));
        assert!(layout.entry("words").is_some_and(Entry::decays));
    }

    #[test]
    fn a_write_through_one_slot_is_read_back_and_leaves_the_others_alone() {
        let mut layout = Layout::default();
        let mut scope = layout.scope("");
        let (a, b) = (scope.matrix("a", 2, 2), scope.scale("b", 2));
        let mut arena = Arena::<f64>::zeros(&layout);
        arena.matrix_mut(a)[[1, 0]] = 5.0;
        assert_eq!(arena.data(), [0.0, 0.0, 5.0, 0.0, 0.0, 0.0]);
        assert_eq!(arena.vector(b).sum(), 0.0);
    }
}
