//! What the doubles serve now: the rules that they have taken on last, whatever an object says by now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::routing::Rule;

/// A router object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Router {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The rules of every router that is served.
#[derive(Debug, Clone, Default)]
pub struct Programmed(Arc<Mutex<BTreeMap<Router, Vec<Rule>>>>);

impl Programmed {
    /// From now on this router's requests meet these rules.
    pub fn serve(&self, router: Router, rules: Vec<Rule>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(router, rules);
    }

    /// Forgets the routers of a kind that `exists` does not know any more.
    pub fn forget(&self, kind: &str, exists: impl Fn(&Router) -> bool) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|router, _| router.kind != kind || exists(router));
    }

    /// All of them.
    pub fn all(&self) -> BTreeMap<Router, Vec<Rule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
