//! The ledger: the append-only, hash-chained record of what happened in one environment.
//!
//! Each entry carries the SHA-256 of its own canonical JSON and of the entry before; the head is kept in the
//! environment's item. Editing, removing or reordering an entry is detected. Rewriting the whole chain *and* the head
//! is not: whoever can write the table can do that, so keep exports where they cannot.

use crate::canonical::{canonical_json, sha256_hex};
use crate::ids::{Digest, EnvironmentName, ExecutionName, Fence, ReleaseNumber, ServiceName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the first entry names as the one before.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where a ledger ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The last entry's number; 0 when there is none.
    pub seq: u64,
    /// The last entry's hash.
    pub hash: String,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            seq: 0,
            hash: GENESIS.to_owned(),
        }
    }
}

/// What happened. The names are part of the export's format: they are added to, never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A promotion is wanted here.
    PromotionWanted,
    /// A promotion lost its place to a newer one.
    PromotionSuperseded,
    /// A gate refused a promotion for good.
    PromotionRefused,
    /// People were asked.
    ApprovalRequested,
    /// A person said yes.
    Approved,
    /// A person said no.
    Rejected,
    /// Nobody answered in time.
    ApprovalExpired,
    /// An execution took the lease.
    LeaseTaken,
    /// A rollout's first write was decided: what was there is stored.
    RolloutStarted,
    /// A check of the environment was started.
    CheckStarted,
    /// A check passed.
    CheckPassed,
    /// A check failed.
    CheckFailed,
    /// A check gave no answer.
    CheckInconclusive,
    /// A rollout waits for a person, because a check gave no answer.
    RolloutHeld,
    /// A person had a check that gave no answer run again.
    CheckAskedAgain,
    /// What a helm that was ended left unfinished was closed, so that helm can start again.
    HelmHealed,
    /// A release or its objects were changed by others, and the rollout writes over that.
    DriftOverwritten,
    /// A part of the traffic was given to a track.
    TrafficShifted,
    /// The weights are served: they are baked from now on.
    BakeStarted,
    /// A rollout stays where it is until a person says so.
    RolloutPaused,
    /// A person let it go on.
    RolloutResumed,
    /// A person wants all traffic on the release now.
    RolloutHurried,
    /// A person lets a release go forward in spite of alarms.
    AlarmsSetAside,
    /// A track without traffic gave its pods back.
    TrackCooled,
    /// The autoscalers of a live track go as low as their manifests say again.
    TrackEased,
    /// A release that got all traffic is watched from now on.
    WatchStarted,
    /// A watch is over, and nothing spoke against its release.
    WatchPassed,
    /// A watch is over and its alarms cannot tell: its release is held a while longer.
    WatchHeld,
    /// An alarm blames a release; it is taken back.
    AlarmBlamed,
    /// Every pod is on the release.
    RolloutVerified,
    /// A rollout failed; what was there before is being brought back.
    RestoreStarted,
    /// What was there before is back.
    Restored,
    /// Neither forward nor back worked.
    RolloutStuck,
    /// A promotion completed.
    PromotionCompleted,
    /// A promotion failed and is over.
    PromotionFailed,
    /// A promotion was stopped.
    PromotionAborted,
    /// A rollback took the environment over from a promotion.
    PromotionPreempted,
    /// A rollback began.
    RollbackStarted,
    /// A rollback is verified in the cluster.
    RollbackCompleted,
    /// Automatic promotion was stopped.
    Held,
    /// Automatic promotion goes on.
    Unheld,
    /// A pipeline version was published.
    PipelineApplied,
    /// A release may be neither promoted nor rolled back to.
    Quarantined,
    /// A release may be again.
    Unquarantined,
    /// The service was taken out of Sluice's care: nothing was done to what runs.
    ServiceRemoved,
}

/// What is to be recorded; number, time and hashes are added by [`append`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// Who did it: a person, a caller's ARN, "invoked directly", or "sluice".
    pub by: String,
    /// The release that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseNumber>,
    /// Its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The execution that did it or that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionName>,
    /// The fence of the decision, where it writes the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Fence>,
    /// Why, or what else is worth knowing, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// 1, 2, 3, ...
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub record: Record,
    /// The hash of the entry before; zeros for the first.
    pub previous: String,
    /// SHA-256, in hexadecimal, of this entry's canonical JSON without `hash`.
    pub hash: String,
}

/// What is wrong with a ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerFault {
    /// The entry's hash is not its content's.
    #[error("entry {seq} was edited: its hash is {found}, its content's is {right}")]
    Edited {
        /// The entry's number.
        seq: u64,
        /// The hash it carries.
        found: String,
        /// The hash of its content.
        right: String,
    },
    /// An entry is missing, or out of order.
    #[error("entry {expected} is missing or out of order: entry {found} stands in its place")]
    Gap {
        /// The number that should stand here.
        expected: u64,
        /// The number that does.
        found: u64,
    },
    /// An entry does not follow the one before.
    #[error("entry {seq} does not follow the entry before: it names {found}, which should be {right}")]
    Unchained {
        /// The entry's number.
        seq: u64,
        /// What it names as the hash before.
        found: String,
        /// The hash of the entry before.
        right: String,
    },
    /// The last entry is not the one that the environment's item names.
    #[error("the ledger ends with entry {found}, the environment's item says entry {expected} ({hash})")]
    WrongEnd {
        /// The last number found.
        found: u64,
        /// The number that the head names.
        expected: u64,
        /// The hash that the head names.
        hash: String,
    },
    /// An entry belongs to another environment.
    #[error("entry {seq} is of {found}, not of {expected}")]
    Foreign {
        /// The entry's number.
        seq: u64,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
}

/// Makes the entry that follows `head`, and moves `head` to it.
pub fn append(
    head: &mut Head,
    service: &ServiceName,
    environment: &EnvironmentName,
    record: Record,
    now: Timestamp,
) -> Result<Entry, serde_json::Error> {
    let mut entry = Entry {
        service: service.clone(),
        environment: environment.clone(),
        seq: head.seq.saturating_add(1),
        at: now,
        record,
        previous: head.hash.clone(),
        hash: String::new(),
    };
    entry.hash = hash_of(&entry)?;
    *head = Head {
        seq: entry.seq,
        hash: entry.hash.clone(),
    };
    Ok(entry)
}

/// SHA-256 of the entry's canonical JSON without its own hash.
fn hash_of(entry: &Entry) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(entry)?;
    if let Some(map) = value.as_object_mut() {
        map.remove("hash");
    }
    Ok(sha256_hex(&canonical_json(&value)?))
}

/// A chain of entries being checked one after another, so that a long one needs no memory.
#[derive(Debug, Default)]
pub struct Check {
    head: Head,
    of: Option<(ServiceName, EnvironmentName)>,
    faults: Vec<LedgerFault>,
}

impl Check {
    /// Looks at the next entry.
    pub fn next(&mut self, entry: &Entry) {
        let expected = self.head.seq.saturating_add(1);
        if entry.seq != expected {
            self.faults.push(LedgerFault::Gap {
                expected,
                found: entry.seq,
            });
        } else if entry.previous != self.head.hash {
            self.faults.push(LedgerFault::Unchained {
                seq: entry.seq,
                found: entry.previous.clone(),
                right: self.head.hash.clone(),
            });
        }
        let right = hash_of(entry).unwrap_or_default();
        if right != entry.hash {
            self.faults.push(LedgerFault::Edited {
                seq: entry.seq,
                found: entry.hash.clone(),
                right,
            });
        }
        let of = (entry.service.clone(), entry.environment.clone());
        match &self.of {
            Some(first) if *first != of => self.faults.push(LedgerFault::Foreign {
                seq: entry.seq,
                found: format!("{}/{}", of.0, of.1),
                expected: format!("{}/{}", first.0, first.1),
            }),
            Some(_) => {}
            None => self.of = Some(of),
        }
        self.head = Head {
            seq: entry.seq,
            hash: entry.hash.clone(),
        };
    }

    /// All faults; none when the chain is whole and ends at `head` (where one is known).
    pub fn finish(mut self, head: Option<&Head>) -> Vec<LedgerFault> {
        if let Some(head) = head.filter(|head| **head != self.head) {
            self.faults.push(LedgerFault::WrongEnd {
                found: self.head.seq,
                expected: head.seq,
                hash: head.hash.clone(),
            });
        }
        self.faults
    }

    /// Where the chain ends so far.
    pub fn head(&self) -> &Head {
        &self.head
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    fn chain(length: u64) -> (Head, Vec<Entry>) {
        let (service, environment) = (
            ServiceName::parse("mc-api").unwrap(),
            EnvironmentName::parse("dev").unwrap(),
        );
        let mut head = Head::default();
        let entries = (1..=length)
            .map(|i| {
                let record = Record {
                    event: Event::PromotionWanted,
                    by: "sluice".into(),
                    release: Some(ReleaseNumber(i as u32)),
                    digest: None,
                    execution: None,
                    fence: None,
                    reason: Some(format!("push {i}")),
                };
                append(
                    &mut head,
                    &service,
                    &environment,
                    record,
                    Timestamp::from_second(i as i64).unwrap(),
                )
                .unwrap()
            })
            .collect();
        (head, entries)
    }

    fn faults(entries: &[Entry], head: Option<&Head>) -> Vec<LedgerFault> {
        let mut check = Check::default();
        entries.iter().for_each(|entry| check.next(entry));
        check.finish(head)
    }

    #[test]
    fn a_whole_chain_has_no_fault_also_after_a_round_trip() {
        let (head, entries) = chain(5);
        let text: Vec<String> = entries
            .iter()
            .map(|entry| serde_json::to_string(entry).unwrap())
            .collect();
        let read: Vec<Entry> = text
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(faults(&read, Some(&head)), []);
    }

    #[test]
    fn the_format_of_an_entry_stays_as_it_is() {
        let (_, entries) = chain(1);
        insta::assert_json_snapshot!(entries[0], @r#"
        {
          "service": "mc-api",
          "environment": "dev",
          "seq": 1,
          "at": "1970-01-01T00:00:01Z",
          "event": "promotion_wanted",
          "by": "sluice",
          "release": 1,
          "reason": "push 1",
          "previous": "0000000000000000000000000000000000000000000000000000000000000000",
          "hash": "0a20e2aaa70758a63b33b636cff563003affd40cee821e2eb12e88bce23e97a3"
        }
        "#);
    }

    proptest! {
        #[test]
        fn editing_removing_reordering_and_cutting_are_detected(length in 2u64..12, at in any::<prop::sample::Index>(), how in 0..4) {
            let (head, mut entries) = chain(length);
            let at = at.index(entries.len());
            match how {
                0 => entries[at].record.by = "somebody else".into(),
                1 => { entries.remove(at); }
                2 => { let other = (at + 1) % entries.len(); entries.swap(at, other); }
                _ => entries.truncate(at),
            }
            prop_assert!(!faults(&entries, Some(&head)).is_empty());
        }

        #[test]
        fn an_edited_entry_with_a_hash_of_its_own_breaks_the_chain(length in 2u64..12, at in any::<prop::sample::Index>()) {
            let (head, mut entries) = chain(length);
            let at = at.index(entries.len());
            entries[at].record.reason = None;
            entries[at].hash = hash_of(&entries[at]).unwrap();
            prop_assert!(!faults(&entries, Some(&head)).is_empty());
        }
    }
}
