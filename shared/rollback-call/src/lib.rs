//! Calling `roll-back` from another function: who asks is recorded first, since an invocation itself carries no caller.

mod answer;
mod call;
mod error;

pub use call::RollBack;
pub use error::CallError;

use jiff::{SignedDuration, Timestamp};

/// How long the table keeps who asked.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// `RollbackRequest::expires` of a request that is made now: when the table forgets it, in seconds since 1970.
pub fn expires(now: Timestamp) -> i64 {
    now.saturating_add(KEPT).unwrap_or(Timestamp::MAX).as_second()
}
