//! Reading a ledger from `operate`, page by page.

use crate::client::Client;
use crate::decide::mismatched;
use crate::failure::{Exit, Failure};
use sluice_domain::api::{Answer, Request};
use sluice_domain::ids::{EnvironmentName, ServiceName};
use sluice_domain::ledger::{Entry, Head};

/// The most that `operate` gives at once.
const PAGE: u32 = 500;
/// How often to look again for entries that the head names and that are not there.
const LOOK_AGAIN: u32 = 2;

/// Gives every entry to `each`, in the order in which they are stored, and then says where the ledger ends.
///
/// The ledger may grow meanwhile, also between the two reads by which one page is made. So it ends where a page that
/// is not full ends with its own head; where head and entries differ, it is asked again. Entries whose numbers do not
/// rise end it too: they are a fault that the caller finds.
pub async fn read(
    client: &Client,
    service: &ServiceName,
    environment: &EnvironmentName,
    mut each: impl FnMut(Entry) -> Result<(), Failure>,
) -> Result<Head, Failure> {
    let (mut after, mut missed) = (0, 0);
    loop {
        let (entries, head) = page(client, service, environment, after, PAGE).await?;
        let (found, highest) = (
            entries.len(),
            entries.iter().map(|entry| entry.seq).max().unwrap_or(after),
        );
        entries.into_iter().try_for_each(&mut each)?;
        let is_end = match found {
            0 if head.seq > after => missed == LOOK_AGAIN,
            0 => true,
            _ if highest <= after => true,
            _ => found < PAGE as usize && highest == head.seq,
        };
        if is_end {
            return Ok(head);
        }
        missed += u32::from(found == 0);
        after = highest;
    }
}

/// One page: entries after a number, and where the ledger ends.
pub async fn page(
    client: &Client,
    service: &ServiceName,
    environment: &EnvironmentName,
    after: u64,
    limit: u32,
) -> Result<(Vec<Entry>, Head), Failure> {
    let request = Request::Ledger {
        service: service.clone(),
        environment: environment.clone(),
        after,
        limit,
    };
    let Answer::Ledger { entries, head } = client.ask(&request).await? else {
        return Err(mismatched());
    };
    if entries.len() > limit as usize {
        return Err(Failure::new(
            Exit::Unexpected,
            "Sluice gave more ledger entries than were asked for.",
        ));
    }
    Ok((entries, head))
}
