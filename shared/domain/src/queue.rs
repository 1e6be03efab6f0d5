//! Newer releases: who is first in line for an environment, who waits, who is superseded.

use crate::ids::PromotionId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The promotions that want an environment: the one whose turn it is, and the newest behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Whose turn it is: at its gates, waiting for approval, or rolling out.
    #[serde(default)]
    pub current: Option<Queued>,
    /// The newest behind it.
    #[serde(default)]
    pub next: Option<Queued>,
}

/// A promotion in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Which try of which release.
    pub id: PromotionId,
    /// When ECR received the release.
    pub pushed_at: Timestamp,
    /// False when a person asked for it.
    pub automatic: bool,
}

/// What became of a promotion that was put into the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The queue as it is now.
    pub queue: Queue,
    /// Who lost its place: perhaps the new one itself.
    pub superseded: Option<PromotionId>,
}

impl Queue {
    /// Puts a promotion into the queue.
    ///
    /// `current_is_held`: the one whose turn it is waits only because automatic promotion is held, so that a newer one
    /// may take its place. Between current and next only the newest is kept; what a person asked for is not superseded
    /// by an automatic one, and takes the place of whatever waits. Putting in what is there already changes nothing.
    pub fn put(&self, new: Queued, current_is_held: bool) -> Placement {
        let mut queue = self.clone();
        if self.holds(new.id) {
            return Placement {
                queue,
                superseded: None,
            };
        }
        let superseded = match &self.current {
            None => queue.current.replace(new),
            Some(current) if current_is_held && new.outranks(current) => queue.current.replace(new),
            Some(_) => match &self.next {
                Some(next) if !new.outranks(next) => Some(new),
                _ => queue.next.replace(new),
            },
        };
        Placement {
            queue,
            superseded: superseded.map(|queued| queued.id),
        }
    }

    /// Takes a promotion out, wherever it is; the next one moves up.
    pub fn take(&mut self, id: PromotionId) {
        if self.next.as_ref().is_some_and(|next| next.id == id) {
            self.next = None;
        }
        if self.is_turn_of(id) {
            self.current = self.next.take();
        }
    }

    /// Whether it is this promotion's turn.
    pub fn is_turn_of(&self, id: PromotionId) -> bool {
        self.current.as_ref().is_some_and(|current| current.id == id)
    }

    /// Whether this promotion is in the queue at all.
    pub fn holds(&self, id: PromotionId) -> bool {
        self.iter().any(|queued| queued.id == id)
    }

    /// Current, then next.
    pub fn iter(&self) -> impl Iterator<Item = &Queued> {
        self.current.iter().chain(self.next.iter())
    }
}

impl Queued {
    /// Whether this one takes the other's place: a person's wish before an automatic one, then the one pushed later.
    fn outranks(&self, other: &Queued) -> bool {
        if !self.automatic {
            return true;
        }
        other.automatic && (self.pushed_at, self.id.release) > (other.pushed_at, other.id.release)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::ReleaseNumber;
    use proptest::prelude::*;

    fn queued(number: u32, pushed: i64, automatic: bool) -> Queued {
        Queued {
            id: PromotionId {
                release: ReleaseNumber(number),
                attempt: 1,
            },
            pushed_at: Timestamp::from_second(pushed).unwrap(),
            automatic,
        }
    }

    #[test]
    fn only_the_newest_waits_behind_the_current_one() {
        let queue = Queue::default().put(queued(1, 10, true), false).queue;
        let queue = queue.put(queued(2, 20, true), false).queue;
        let placement = queue.put(queued(3, 30, true), false);
        assert_eq!(placement.superseded, Some(queued(2, 20, true).id));
        assert_eq!(placement.queue.current, Some(queued(1, 10, true)));
        assert_eq!(placement.queue.next, Some(queued(3, 30, true)));
        // #4 has a higher number but was pushed earlier: it is the one that goes
        let placement = placement.queue.put(queued(4, 25, true), false);
        assert_eq!(placement.superseded, Some(queued(4, 25, true).id));
    }

    #[test]
    fn a_held_current_gives_way_to_a_newer_one_only() {
        let queue = Queue::default().put(queued(2, 20, true), false).queue;
        assert_eq!(
            queue.put(queued(3, 30, true), true).superseded,
            Some(queued(2, 20, true).id)
        );
        let placement = queue.put(queued(1, 10, true), true);
        assert_eq!(
            (placement.superseded, placement.queue.next),
            (None, Some(queued(1, 10, true)))
        );
    }

    #[test]
    fn a_persons_wish_stands_against_automatic_ones() {
        let queue = Queue::default()
            .put(queued(5, 50, true), false)
            .queue
            .put(queued(3, 30, false), false)
            .queue;
        assert_eq!(
            queue.put(queued(6, 60, true), false).superseded,
            Some(queued(6, 60, true).id)
        );
        assert_eq!(
            queue.put(queued(2, 20, false), false).superseded,
            Some(queued(3, 30, false).id)
        );
    }

    #[test]
    fn taking_the_current_one_moves_the_next_up() {
        let mut queue = Queue::default()
            .put(queued(1, 10, true), false)
            .queue
            .put(queued(2, 20, true), false)
            .queue;
        queue.take(queued(1, 10, true).id);
        assert!(queue.is_turn_of(queued(2, 20, true).id));
        assert_eq!(queue.next, None);
    }

    proptest! {
        #[test]
        fn nobody_is_lost_and_nobody_is_there_twice(pushes in prop::collection::vec((1u32..9, 0i64..5, any::<bool>(), any::<bool>()), 1..30)) {
            let mut queue = Queue::default();
            for (number, pushed, automatic, held) in pushes {
                let new = queued(number, pushed, automatic);
                let before: Vec<_> = queue.iter().map(|queued| queued.id).chain([new.id]).collect();
                let placement = queue.put(new, held);
                let after: Vec<_> = placement.queue.iter().map(|queued| queued.id).chain(placement.superseded).collect();
                for id in &before {
                    prop_assert!(after.contains(id), "{id} is gone");
                }
                let mut unique = after.clone();
                unique.dedup();
                prop_assert_eq!(unique.len(), after.len());
                prop_assert!(placement.queue.current.is_some());
                queue = placement.queue;
            }
        }
    }
}
