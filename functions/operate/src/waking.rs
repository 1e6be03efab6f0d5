//! Waking executions after a change was recorded.

use crate::door::Door;
use crate::place::Place;
use sluice_domain::ids::PromotionId;
use sluice_transitions::wake;

/// What is added to the answer where nobody could be woken. The change stands: the row decides, and the sweep wakes.
const LATER: &str =
    " Step Functions did not answer; Sluice's sweep wakes the execution within a minute or two.";

/// Wakes each promotion that waits. Answers what there is to say about it: nothing where it went well.
pub async fn wake_each(door: &Door, at: &Place, ids: impl IntoIterator<Item = PromotionId>) -> &'static str {
    let mut said = "";
    for id in ids {
        if let Err(failure) = wake(&door.backends, &at.service, &at.environment, id).await {
            tracing::warn!(%id, service = %at.service, environment = %at.environment, "{}", failure.in_full());
            said = LATER;
        }
    }
    said
}
