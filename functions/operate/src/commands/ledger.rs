//! `ledger`: a page of an environment's ledger, and where it ends.

use crate::door::Door;
use crate::error::OperateError;
use crate::place::{Place, service_at};
use sluice_domain::api::Answer;

/// A page of entries after a number. The head is read after them, so that it is never behind what is shown.
pub async fn run(door: &Door, at: &Place, after: u64, limit: u32) -> Result<Answer, OperateError> {
    service_at(door, at).await?;
    let (table, most) = (&door.backends.table, usize::try_from(limit).unwrap_or(usize::MAX));
    let page = table
        .ledger(&at.service, &at.environment, after.saturating_add(1), most)
        .await?;
    let environment = table.environment(&at.service, &at.environment).await?;
    Ok(Answer::Ledger {
        entries: page.items,
        head: environment.ledger,
    })
}
