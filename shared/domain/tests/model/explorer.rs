//! Explores every state that a model can reach, breadth first, so that what it finds wrong is found by the shortest way.
//!
//! A model checker of one's own is little more than this. The crate stateright was tried first: its `eventually` does not see
//! runs that go round in circles, and its dependencies change the features of this workspace's, so that everything would be
//! compiled anew between builds and tests.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// What can happen next in a state.
pub struct Next<S, A> {
    pub action: A,
    /// Whether it happens by itself sooner or later, when nothing goes wrong any more.
    pub calm: bool,
    /// The state after it, or the property that it violates and how.
    pub to: Result<S, Violation>,
}

/// A property that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    pub property: &'static str,
    pub how: &'static str,
}

pub trait Model {
    type State: Clone + Eq + Hash + Debug;
    type Action: Copy + Debug;

    fn init(&self) -> Self::State;
    fn next(&self, state: &Self::State, found: &mut Vec<Next<Self::State, Self::Action>>);
    /// What is wrong with a state, whatever led to it.
    fn check(&self, state: &Self::State) -> Option<Violation>;
    /// Whether it is over, and well.
    fn is_good(&self, state: &Self::State) -> bool;
    /// The property that something good is reached from everywhere.
    const ENDS: &'static str;
}

/// What was found.
pub struct Explored {
    pub states: usize,
    pub transitions: usize,
    /// How many steps the longest of the shortest ways has.
    pub depth: usize,
    /// Of each property that does not hold, the shortest way to where it does not.
    pub violated: BTreeMap<&'static str, Vec<String>>,
}

/// Explores everything, or until this property is seen not to hold. Panics where there are more than `most` states: then it
/// would not be everything.
pub fn explore<M: Model>(model: &M, most: usize, until: Option<&str>) -> Explored {
    let mut graph = Graph::of(model.init());
    let mut violated = BTreeMap::new();
    let mut found = Vec::new();
    let mut transitions = 0;
    let mut at = 0;
    while at < graph.states.len() && !until.is_some_and(|until| violated.contains_key(until)) {
        let state = graph.states[at].clone();
        if let Some(violation) = model.check(&state) {
            let way = || graph.way::<M>(at, Some(format!("{}: {state:?}", violation.how)));
            violated.entry(violation.property).or_insert_with(way);
        }
        model.next(&state, &mut found);
        transitions += found.len();
        for next in found.drain(..) {
            match next.to {
                Ok(to) => graph.add(at, to, next.action, next.calm),
                Err(violation) => {
                    let last = format!("{:?}: {}: {state:?}", next.action, violation.how);
                    let way = || graph.way::<M>(at, Some(last));
                    violated.entry(violation.property).or_insert_with(way);
                }
            }
        }
        at += 1;
        assert!(
            graph.states.len() <= most,
            "more than {most} states: bound the model"
        );
    }
    let is_whole = at == graph.states.len();
    if let Some(lost) = is_whole.then(|| graph.never_good(model)).flatten() {
        let how = format!("no calm run from here ends well: {:?}", graph.states[lost]);
        violated.insert(M::ENDS, graph.way::<M>(lost, Some(how)));
    }
    Explored {
        states: graph.states.len(),
        transitions,
        depth: graph.depth(),
        violated,
    }
}

struct Graph<S, A> {
    states: Vec<S>,
    numbers: HashMap<S, u32, BuildHasherDefault<Quick>>,
    /// By which action of which state each was found.
    parents: Vec<Option<(u32, A)>>,
    /// From, to.
    calm: Vec<(u32, u32)>,
}

impl<S: Clone + Eq + Hash + Debug, A: Copy + Debug> Graph<S, A> {
    fn of(init: S) -> Self {
        Self {
            numbers: HashMap::from_iter([(init.clone(), 0)]),
            states: vec![init],
            parents: vec![None],
            calm: Vec::new(),
        }
    }

    fn add(&mut self, from: usize, to: S, action: A, calm: bool) {
        let from = u32::try_from(from).unwrap();
        let number = match self.numbers.entry(to) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let number = u32::try_from(self.states.len()).unwrap();
                self.states.push(new.key().clone());
                self.parents.push(Some((from, action)));
                *new.insert(number)
            }
        };
        if calm {
            self.calm.push((from, number));
        }
    }

    fn way<M: Model>(&self, to: usize, last: Option<String>) -> Vec<String> {
        let mut way: Vec<String> = last.into_iter().collect();
        let mut at = to;
        while let Some((from, action)) = self.parents[at] {
            way.push(format!("{action:?}"));
            at = from as usize;
        }
        way.reverse();
        way
    }

    fn depth(&self) -> usize {
        let mut depths = vec![0_usize; self.states.len()];
        for at in 1..self.states.len() {
            let (from, _) = self.parents[at].unwrap();
            depths[at] = depths[from as usize] + 1;
        }
        depths.into_iter().max().unwrap_or_default()
    }

    /// The first state from which no run of calm steps ends well. With finitely many states that is the same as a fair run that
    /// does not: what is always possible happens in the end.
    fn never_good<M: Model<State = S>>(&self, model: &M) -> Option<usize> {
        let mut before: Vec<Vec<u32>> = vec![Vec::new(); self.states.len()];
        for (from, to) in &self.calm {
            before[*to as usize].push(*from);
        }
        let mut ends_well: Vec<bool> = self.states.iter().map(|state| model.is_good(state)).collect();
        let mut open: Vec<usize> = (0..self.states.len()).filter(|at| ends_well[*at]).collect();
        while let Some(at) = open.pop() {
            for from in &before[at] {
                let from = *from as usize;
                if !ends_well[from] {
                    ends_well[from] = true;
                    open.push(from);
                }
            }
        }
        ends_well.iter().position(|ends_well| !ends_well)
    }
}

/// A hash that is quick also where nothing is optimised; nobody attacks it.
#[derive(Default)]
pub struct Quick(u64);

impl Quick {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x51_7c_c1_b7_27_22_0a_95);
    }
}

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.add(u64::from(byte));
    }

    fn write_u32(&mut self, word: u32) {
        self.add(u64::from(word));
    }

    fn write_isize(&mut self, word: isize) {
        self.add(word as u64);
    }

    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }
}
