//! A cluster of three places with pods, a router and a Service. It takes a write where its fence is greater than the object's,
//! and says so where it is its own.

use crate::explorer::Violation;

/// How many pods the whole traffic needs.
pub const FULL: u8 = 2;
/// Places: what was there before there were tracks, blue, green.
pub const PLACES: usize = 3;
pub const SAFE: &str = "4: no traffic to a place without enough ready pods";
pub const FENCED: &str = "2: no write of an older fence takes effect";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// Which release it runs; 0 is none.
    pub release: u8,
    pub want: u8,
    /// How many pods Sluice asked for; somebody else may have taken some away since.
    pub asked: u8,
    pub ready: u8,
    pub fence: u8,
    /// Its pods cannot start.
    pub crashes: bool,
    /// Whether it is Sluice's own doing that pods are missing.
    pub ours: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    Pending,
    Accepted,
    Refused,
}

/// What the alarms say of the rollout that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alarms {
    Quiet,
    Blame,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cluster {
    pub places: [Place; PLACES],
    pub weights: [u8; PLACES],
    pub router_fence: u8,
    pub standing: Standing,
    /// The place that the Service selects.
    pub root: u8,
    pub root_fence: u8,
    pub alarms: Alarms,
}

/// One object, as it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    Place { at: u8, release: u8, size: u8 },
    Weights([u8; PLACES]),
    Root(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Write {
    pub what: What,
    pub fence: u8,
    /// Whether the place that gets traffic by it was ready when it was decided.
    pub seen_ready: bool,
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Done,
    Refused,
}

/// How many pods a part of the traffic needs.
pub fn size_for(weight: u8) -> u8 {
    (FULL * weight).div_ceil(100)
}

impl Cluster {
    fn is_ready(&self, at: usize, weight: u8) -> bool {
        self.places[at].ready >= size_for(weight)
    }

    /// Whether every place that would get more traffic by this write is ready for it.
    pub fn is_ready_for(&self, what: What) -> bool {
        match what {
            What::Weights(weights) => self.gains(weights).all(|at| self.is_ready(at, weights[at])),
            What::Root(at) => at == self.root || self.is_ready(usize::from(at), 100),
            What::Place { .. } => true,
        }
    }

    fn gains(&self, weights: [u8; PLACES]) -> impl Iterator<Item = usize> {
        let before = self.weights;
        (0..PLACES).filter(move |at| weights[*at] > before[*at])
    }

    /// Whether pods are missing where this write gives traffic, and it is Sluice's own doing. Where nothing runs at all there is
    /// nothing that traffic could be taken from: a first release that was brought back to nothing.
    fn is_our_fault(&self, what: What) -> bool {
        if self.places.iter().all(|place| place.want == 0) {
            return false;
        }
        let lacks = |at: usize, weight| !self.is_ready(at, weight) && self.places[at].ours;
        match what {
            What::Weights(weights) => self.gains(weights).any(|at| lacks(at, weights[at])),
            What::Root(at) => at != self.root && lacks(usize::from(at), 100),
            What::Place { .. } => false,
        }
    }

    pub fn fence_of(&self, what: What) -> u8 {
        match what {
            What::Place { at, .. } => self.places[usize::from(at)].fence,
            What::Weights(_) => self.router_fence,
            What::Root(_) => self.root_fence,
        }
    }

    /// Takes a write or refuses it. `fenced` is false where the policy is taken away, to see whether that is found.
    pub fn take(&mut self, write: Write, fenced: bool) -> Result<Taken, Violation> {
        let there = self.fence_of(write.what);
        if write.fence == there {
            return Ok(Taken::Done);
        }
        if write.fence < there {
            let violation = Violation {
                property: FENCED,
                how: "a write of an older fence took effect",
            };
            return if fenced {
                Ok(Taken::Refused)
            } else {
                Err(violation)
            };
        }
        if !write.seen_ready {
            return Err(Violation {
                property: SAFE,
                how: "it was decided although the pods were not ready",
            });
        }
        if self.is_our_fault(write.what) {
            return Err(Violation {
                property: SAFE,
                how: "Sluice had taken the pods away",
            });
        }
        self.put(write);
        Ok(Taken::Done)
    }

    fn put(&mut self, write: Write) {
        match write.what {
            What::Place { at, release, size } => {
                let place = &mut self.places[usize::from(at)];
                let same = place.release == release;
                place.release = release;
                place.ready = if same { place.ready.min(size) } else { 0 };
                place.crashes &= same;
                // Written as it was, what is missing is missing for the same reason.
                place.ours |= !same || size != place.asked;
                place.want = size;
                place.asked = size;
                place.fence = write.fence;
            }
            What::Weights(weights) => {
                self.weights = weights;
                self.router_fence = write.fence;
                self.standing = Standing::Pending;
            }
            What::Root(at) => {
                self.root = at;
                self.root_fence = write.fence;
            }
        }
    }

    /// The place that has all the traffic.
    pub fn served(&self) -> Option<usize> {
        (0..PLACES).find(|at| self.weights[*at] == 100)
    }

    /// Whether every place that has traffic has the pods for it: all but those that somebody else took away, or that crash by
    /// themselves.
    pub fn serves(&self) -> bool {
        (0..PLACES).all(|at| {
            let (weight, place) = (self.weights[at], self.places[at]);
            let taken = place.asked - place.want.min(place.asked);
            weight == 0 || place.crashes || place.ready + taken >= size_for(weight)
        })
    }
}
