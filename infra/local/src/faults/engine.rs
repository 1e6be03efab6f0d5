//! The rules of an environment at work: what they did, and which calls they hold.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::rules::{Action, Call, Fired, Held, Rule};

/// How a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Go on.
    Continue,
    /// Close the connection.
    Drop,
}

/// The rules and what they did; shared by all proxies of an environment.
#[derive(Debug, Clone, Default)]
pub struct Engine(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    rules: Vec<Counted>,
    fired: Vec<Fired>,
    held: BTreeMap<u64, (Held, oneshot::Sender<Release>)>,
    next: u64,
}

#[derive(Debug)]
struct Counted {
    rule: Rule,
    seen: u32,
    fired: u32,
}

impl Counted {
    /// Counts a call, and says whether the rule acts on it.
    fn acts_on(&mut self, call: &Call) -> bool {
        if !self.rule.matches(call) {
            return false;
        }
        self.seen += 1;
        let acts = self.seen >= self.rule.nth && (self.rule.times == 0 || self.fired < self.rule.times);
        self.fired += u32::from(acts);
        acts
    }
}

impl Engine {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule.
    pub fn add(&self, rule: Rule) {
        self.inner().rules.push(Counted {
            rule,
            seen: 0,
            fired: 0,
        });
    }

    /// Takes all rules away and releases what is held.
    pub fn clear(&self) {
        let old = std::mem::take(&mut *self.inner());
        self.inner().next = old.next;
        for (_, sender) in old.held.into_values() {
            let _ = sender.send(Release::Continue); // its caller may be gone
        }
    }

    /// What happens to this call; none: it is passed on.
    pub fn decide(&self, call: &Call) -> Option<Action> {
        let mut inner = self.inner();
        let action = inner
            .rules
            .iter_mut()
            .find_map(|counted| counted.acts_on(call).then(|| counted.rule.action.clone()))?;
        inner.fired.push(Fired {
            action: action.clone(),
            call: call.clone(),
        });
        Some(action)
    }

    /// Waits until the call is released or dropped. When its caller goes away meanwhile, it is no longer held.
    pub async fn hold(&self, call: &Call, after: bool, status: Option<u16>) -> Release {
        let (sender, receiver) = oneshot::channel();
        let id = {
            let mut inner = self.inner();
            inner.next += 1;
            let id = inner.next;
            inner.held.insert(
                id,
                (
                    Held {
                        id,
                        after,
                        status,
                        call: call.clone(),
                    },
                    sender,
                ),
            );
            id
        };
        let _forget = Forget(self, id);
        receiver.await.unwrap_or(Release::Drop)
    }

    /// Ends a hold; false when there is none of this id.
    pub fn end(&self, id: u64, how: Release) -> bool {
        let found = self.inner().held.remove(&id);
        found.is_some_and(|(_, sender)| sender.send(how).is_ok())
    }

    /// Calls held now, in order.
    pub fn held(&self) -> Vec<Held> {
        self.inner().held.values().map(|(held, _)| held.clone()).collect()
    }

    /// What the rules did, in order.
    pub fn fired(&self) -> Vec<Fired> {
        self.inner().fired.clone()
    }
}

struct Forget<'a>(&'a Engine, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.inner().held.remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::faults::rules::sample;

    #[test]
    fn the_nth_matching_call_is_disturbed_and_no_other() {
        let engine = Engine::default();
        engine.add(
            Rule::aws("dynamodb", "PutItem")
                .function("take-lease")
                .nth(2)
                .then(Action::HoldAfter),
        );
        let acted: Vec<bool> = ["PutItem", "GetItem", "PutItem", "PutItem"]
            .map(|operation| engine.decide(&sample(operation, "")).is_some())
            .into();
        assert_eq!(acted, [false, false, true, false]);
        assert_eq!(engine.fired().len(), 1);
    }

    #[tokio::test]
    async fn a_held_call_goes_on_when_released_and_is_forgotten_when_its_caller_is_gone() {
        let engine = Engine::default();
        let (first, second) = (sample("PutItem", ""), sample("GetItem", ""));
        let (holding, other) = (
            engine.hold(&first, false, None),
            engine.hold(&second, true, Some(200)),
        );
        tokio::pin!(holding);
        assert!(futures::poll!(&mut holding).is_pending());
        {
            tokio::pin!(other);
            assert!(futures::poll!(&mut other).is_pending());
            assert_eq!(engine.held().len(), 2);
        }
        let held = engine.held();
        assert_eq!(held.len(), 1);
        assert!(engine.end(held[0].id, Release::Continue));
        assert_eq!(holding.await, Release::Continue);
        assert!(!engine.end(held[0].id, Release::Continue));
    }
}
