//! The parameters as they will be stored, beside those that are trained.

use crate::kernels::vectorized;
use crate::quant::Scheme;
use crate::{Arena, Layout, Slot};
use std::collections::BTreeMap;
use std::ops::Range;

/// A copy of the parameters in which some tensors are rounded.
///
/// Rounding looks at one row at a time. So of the table that is read by token ids, only the rows of a batch are made anew,
/// and what the optimiser has put off for the others is not needed.
pub(super) struct Rounded {
    params: Arena,
    is_current: bool,
    tensors: Vec<Tensor>,
    table: Option<(Slot<2>, Option<Scheme>)>,
}

/// A tensor that no batch reads only in part.
struct Tensor {
    range: Range<usize>,
    columns: usize,
    scheme: Option<Scheme>,
}

impl Rounded {
    /// Sets out to round the tensors of a layout that `schemes` names.
    pub(super) fn new(layout: &Layout, schemes: &BTreeMap<String, Scheme>) -> Self {
        let table = layout.table();
        let scheme_of = |range: &Range<usize>| {
            let entry = layout.entries().iter().find(|entry| entry.range() == *range);
            entry.and_then(|entry| schemes.get(&entry.name)).copied()
        };
        let tensors = layout.entries().iter().map(|entry| Tensor {
            range: entry.range(),
            columns: entry.shape.last().copied().unwrap_or(1).max(1),
            scheme: scheme_of(&entry.range()),
        });
        let is_whole = |tensor: &Tensor| table.is_none_or(|table| table.range() != tensor.range);
        Rounded {
            tensors: tensors.filter(is_whole).collect(),
            table: table.map(|table| (table, scheme_of(&table.range()))),
            params: Arena::zeros(layout),
            is_current: false,
        }
    }

    /// Says that the parameters have changed.
    pub(super) fn outdate(&mut self) {
        self.is_current = false;
    }

    /// Returns what a pass over tokens with these ids computes with.
    pub(super) fn of(&mut self, params: &Arena, ids: &[u32]) -> &Arena {
        let (from, to) = (params.data(), self.params.data_mut());
        if !self.is_current {
            for Tensor { range, columns, scheme } in &self.tensors {
                round(&from[range.clone()], &mut to[range.clone()], *columns, *scheme);
            }
            self.is_current = true;
        }
        if let Some((table, scheme)) = self.table {
            let (start, width) = (table.range().start, table.shape()[1]);
            for &id in ids {
                let row = start + id as usize * width..start + (id as usize + 1) * width;
                round(&from[row.clone()], &mut to[row], width, scheme);
            }
        }
        &self.params
    }

    /// Returns what the last pass computed with.
    pub(super) fn last(&self) -> &Arena {
        &self.params
    }
}

fn round(from: &[f32], to: &mut [f32], columns: usize, scheme: Option<Scheme>) {
    to.copy_from_slice(from);
    if let Some(scheme) = scheme {
        vectorized(|| to.chunks_mut(columns).for_each(|row| scheme.apply(row)));
    }
}
