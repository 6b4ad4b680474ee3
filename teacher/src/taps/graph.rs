//! A graph to walk through: who computes a value, who uses it, and what flows into it.

use std::collections::{HashSet, VecDeque};

use super::topology::{Attribute, Constant, Node, Topology, Value};

/// A way back goes no farther than this: what belongs to one part of a layer lies closer.
const MAX_STEPS: usize = 48;
/// A search visits no more values than this.
const MAX_VISITED: usize = 256;
/// Of the operands or users of one node no more are looked at; what belongs to a layer has a handful.
const MAX_NEIGHBOURS: usize = 64;

/// A topology with its values traced.
pub(super) struct Graph<'a> {
    pub topology: &'a Topology,
    /// The nodes, each after those that compute its operands.
    pub order: Vec<usize>,
    producers: Vec<Option<usize>>,
    consumers: Vec<Vec<usize>>,
    flows: Vec<Flow>,
}

/// What a value was made of; the shape of something is not made of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flow {
    /// Something that the graph is fed, other than the attention mask.
    pub data: bool,
    /// The attention mask.
    pub mask: bool,
    /// Something learnt.
    pub weights: bool,
}

impl Flow {
    /// Says whether this is an activation: learnt things applied to what the graph is fed.
    pub fn is_activation(self) -> bool {
        self.data && self.weights
    }

    /// Says whether this tells which tokens count and nothing else.
    pub fn is_mask(self) -> bool {
        !self.weights && (self.mask || self.data)
    }

    /// Says whether this is the same whatever the graph is fed, sizes aside.
    pub fn is_fixed(self) -> bool {
        !self.data && !self.mask && !self.weights
    }

    fn join(self, other: Flow) -> Flow {
        Flow {
            data: self.data | other.data,
            mask: self.mask | other.mask,
            weights: self.weights | other.weights,
        }
    }
}

impl<'a> Graph<'a> {
    /// Traces the values of a topology; `mask` is the input that tells tokens from padding.
    ///
    /// # Errors
    /// Where two nodes compute one value, nobody computes what a node reads, or nodes wait for each other.
    pub fn new(topology: &'a Topology, mask: &str) -> Result<Graph<'a>, String> {
        let num_values = topology.names.len();
        let mut graph = Graph {
            topology,
            order: Vec::with_capacity(topology.nodes.len()),
            producers: vec![None; num_values],
            consumers: vec![Vec::new(); num_values],
            flows: vec![Flow::default(); num_values],
        };
        graph.connect()?;
        graph.sort()?;
        graph.trace(topology.find(mask));
        Ok(graph)
    }

    fn connect(&mut self) -> Result<(), String> {
        for (i, node) in self.topology.nodes.iter().enumerate() {
            for &value in node.outputs.iter().flatten() {
                if self.producers[value].replace(i).is_some() {
                    return Err(format!("two nodes compute `{}`", self.name(value)));
                }
            }
            for &value in node.inputs.iter().flatten() {
                // A node that reads a value twice stands there once.
                if self.consumers[value].last() != Some(&i) {
                    self.consumers[value].push(i);
                }
            }
        }
        Ok(())
    }

    /// Puts the nodes in the order of their work.
    fn sort(&mut self) -> Result<(), String> {
        let nodes = &self.topology.nodes;
        let mut known = vec![false; self.producers.len()];
        for &value in self.topology.inputs.iter().chain(self.topology.constants.keys()) {
            known[value] = true;
        }
        let mut waiting = Vec::with_capacity(nodes.len());
        for node in nodes {
            let operands: HashSet<Value> = node.inputs.iter().flatten().copied().collect();
            if let Some(&value) = operands.iter().find(|&&v| !known[v] && self.producers[v].is_none()) {
                return Err(format!("`{}` is used, but nothing computes it", self.name(value)));
            }
            waiting.push(operands.iter().filter(|&&value| self.producers[value].is_some()).count());
        }
        let mut ready: VecDeque<usize> = (0..nodes.len()).filter(|&i| waiting[i] == 0).collect();
        while let Some(i) = ready.pop_front() {
            self.order.push(i);
            for &value in nodes[i].outputs.iter().flatten() {
                for &next in &self.consumers[value] {
                    waiting[next] -= 1;
                    if waiting[next] == 0 {
                        ready.push_back(next);
                    }
                }
            }
        }
        match waiting.iter().position(|&operands| operands > 0) {
            Some(i) => Err(format!("{} waits for itself", self.node_name(i))),
            None => Ok(()),
        }
    }

    fn trace(&mut self, mask: Option<Value>) {
        for &value in &self.topology.inputs {
            let (is_mask, is_constant) = (Some(value) == mask, self.topology.constants.contains_key(&value));
            self.flows[value] =
                Flow { data: !is_mask && !is_constant, mask: is_mask && !is_constant, weights: false };
        }
        for (&value, constant) in &self.topology.constants {
            self.flows[value].weights = constant.is_weight();
        }
        for &i in &self.order {
            let node = &self.topology.nodes[i];
            if matches!(node.op.as_str(), "Shape" | "Size" | "Constant") {
                continue;
            }
            let operands = node.inputs.iter().flatten();
            let flow = operands.fold(Flow::default(), |flow, &value| flow.join(self.flows[value]));
            node.outputs.iter().flatten().for_each(|&value| self.flows[value] = flow);
        }
    }

    /// Returns the name of a value.
    pub fn name(&self, value: Value) -> &'a str {
        &self.topology.names[value]
    }

    /// Returns what errors call a node: its operator, and its own name or that of what it computes.
    pub fn node_name(&self, node: usize) -> String {
        let node = &self.topology.nodes[node];
        let output = node.outputs.iter().flatten().next().map_or("", |&value| self.name(value));
        let name = if node.name.is_empty() { output } else { &node.name };
        let domain = if node.domain.is_empty() { String::new() } else { format!("{}.", node.domain) };
        format!("{domain}{} `{name}`", node.op)
    }

    /// Returns what flows into a value.
    pub fn flow(&self, value: Value) -> Flow {
        self.flows[value]
    }

    /// Returns the node that computes a value.
    pub fn producer(&self, value: Value) -> Option<&'a Node> {
        self.producers[value].map(|i| &self.topology.nodes[i])
    }

    /// Returns the first nodes that use a value.
    pub fn consumers(&self, value: Value) -> impl Iterator<Item = &'a Node> {
        self.consumers[value].iter().take(MAX_NEIGHBOURS).map(|&i| &self.topology.nodes[i])
    }

    /// Returns the constant that arrives as a value, perhaps under another name or in another type.
    pub fn constant(&self, value: Value) -> Option<&'a Constant> {
        self.topology.constants.get(&self.plain(value))
    }

    /// Returns the same numbers where they were computed: before they were renamed or converted.
    pub fn plain(&self, mut value: Value) -> Value {
        for _ in 0..MAX_STEPS {
            match self.producer(value) {
                Some(node) if node.is_plain() => match node.input(0) {
                    Some(before) => value = before,
                    None => break,
                },
                _ => break,
            }
        }
        value
    }

    /// Says whether a value is one number, or computed from sizes alone, as the factor of a scaling is.
    pub fn is_scalar(&self, value: Value) -> bool {
        match self.constant(value) {
            Some(constant) => constant.dims.iter().all(|&size| size == 1),
            None => self.flow(value).is_fixed(),
        }
    }

    /// Returns the nearest value before `start`, itself included, that `wanted` accepts; the search goes on before
    /// those that `through` accepts.
    pub fn nearest(
        &self,
        start: Value,
        wanted: impl Fn(Value) -> bool,
        through: impl Fn(Value) -> bool,
    ) -> Option<Value> {
        let (mut queue, mut seen) = (VecDeque::from([start]), HashSet::from([start]));
        while let Some(value) = queue.pop_front() {
            if wanted(value) {
                return Some(value);
            }
            if !through(value) || seen.len() > MAX_VISITED {
                continue;
            }
            let inputs = self.producer(value).map_or(&[][..], |node| &node.inputs);
            let operands = inputs.iter().take(MAX_NEIGHBOURS).flatten();
            queue.extend(operands.filter(|&&operand| self.flow(operand).data && seen.insert(operand)));
        }
        None
    }

    /// Walks from a value to those it is computed from, and returns the last: `step` says which is next, if any.
    pub fn walk(&self, mut value: Value, mut step: impl FnMut(&'a Node) -> Option<Value>) -> Value {
        for _ in 0..MAX_STEPS {
            match self.producer(value).and_then(&mut step) {
                Some(before) => value = before,
                None => break,
            }
        }
        value
    }

    /// Returns what a node scales by one number, if that is what it does.
    pub fn scaled(&self, node: &Node) -> Option<Value> {
        let [a, b] = node.pair()?;
        match node.op.as_str() {
            "Mul" | "Div" if self.is_scalar(b) => Some(a),
            "Mul" if self.is_scalar(a) => Some(b),
            _ => None,
        }
    }
}

impl Node {
    /// Says whether this is one of the named operators, of whatever set.
    pub fn is(&self, ops: &[&str]) -> bool {
        ops.contains(&self.op.as_str())
    }

    /// Says whether the numbers that go in come out.
    pub fn is_plain(&self) -> bool {
        self.is(&["Identity", "Cast", "Dropout"])
    }

    /// Returns an operand.
    pub fn input(&self, place: usize) -> Option<Value> {
        self.inputs.get(place).copied().flatten()
    }

    /// Returns a result.
    pub fn output(&self, place: usize) -> Option<Value> {
        self.outputs.get(place).copied().flatten()
    }

    /// Returns the two operands of a node that has two.
    pub fn pair(&self) -> Option<[Value; 2]> {
        Some([self.input(0)?, self.input(1)?])
    }

    /// Returns a whole number among the attributes.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.attributes.get(name).map(|attribute| attribute.int)
    }

    /// Returns a float among the attributes.
    pub fn float(&self, name: &str) -> Option<f32> {
        self.attributes.get(name).map(|attribute| attribute.float)
    }

    /// Returns a list among the attributes.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attributes.get(name).map(|Attribute { ints, .. }| ints.as_slice())
    }
}
