//! Approval: who must say yes, and whether they did. The row decides; a token only wakes.

use crate::ids::PersonName;
use crate::pipeline::ApprovalSpec;
use crate::promotion::{Approval, Asker, Evidence, Promotion, PromotionState, Vote};
use jiff::{SignedDuration, Timestamp};

/// Where a promotion's approval stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The environment asks nobody.
    NotNeeded,
    /// People have not been asked yet, or were asked about something else than would be rolled out now.
    ToAsk,
    /// So many more must say yes, until then.
    Pending {
        /// How many.
        missing: u32,
        /// Until when.
        until: Timestamp,
    },
    /// Enough said yes in time.
    Approved {
        /// Who.
        by: Vec<PersonName>,
    },
    /// Somebody said no.
    Rejected {
        /// Who, and why.
        reason: String,
    },
    /// Not enough said yes in time.
    Expired,
}

/// Where the approval stands, given what would be rolled out now.
pub fn standing(
    promotion: &Promotion,
    spec: Option<&ApprovalSpec>,
    evidence: &Evidence,
    now: Timestamp,
) -> Standing {
    let Some(spec) = spec else {
        return Standing::NotNeeded;
    };
    let Some(approval) = promotion
        .approval
        .as_ref()
        .filter(|approval| approval.evidence == *evidence)
    else {
        return Standing::ToAsk;
    };
    let counted = |vote: &&Vote| spec.approvers.contains(&vote.person) && vote.at < approval.expires_at;
    if let Some(no) = approval.votes.iter().filter(counted).find(|vote| !vote.approve) {
        let why = no
            .reason
            .as_deref()
            .map(|why| format!(": {why}"))
            .unwrap_or_default();
        return Standing::Rejected {
            reason: format!("rejected by {}{why}", no.person),
        };
    }
    let by: Vec<_> = approval
        .votes
        .iter()
        .filter(counted)
        .map(|vote| vote.person.clone())
        .collect();
    let missing = spec
        .quorum
        .saturating_sub(u32::try_from(by.len()).unwrap_or(u32::MAX));
    if missing == 0 {
        Standing::Approved { by }
    } else if now >= approval.expires_at {
        Standing::Expired
    } else {
        Standing::Pending {
            missing,
            until: approval.expires_at,
        }
    }
}

/// Asks people: from now until the approval expires.
pub fn ask(promotion: &mut Promotion, spec: &ApprovalSpec, evidence: Evidence, now: Timestamp) {
    let expires_at = now
        .saturating_add(SignedDuration::from_secs(spec.expires.get().min(1 << 31) as i64))
        .unwrap_or(now);
    promotion.state = PromotionState::AwaitingApproval;
    promotion.reason = Some(format!("waits for {} of {}", spec.quorum, names(&spec.approvers)));
    promotion.approval = Some(Approval {
        evidence,
        asked_at: now,
        expires_at,
        votes: Vec::new(),
    });
}

/// Why a vote does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VoteFault {
    /// People were not asked, or it is over.
    #[error("{0} does not wait for approval: it is {1}")]
    NotAsked(String, String),
    /// It is too late.
    #[error("the approval of {0} expired at {1}")]
    Expired(String, Timestamp),
    /// Not an approver.
    #[error("{0} is not an approver here: {1} may approve")]
    NotApprover(String, String),
    /// Four eyes: not the one who asked for it.
    #[error("{0} asked for this promotion, and four_eyes wants somebody else to approve it")]
    FourEyes(PersonName),
    /// They said something else before.
    #[error("{0} has already {1} it")]
    AlreadyVoted(PersonName, &'static str),
}

/// Adds a person's vote. The same vote again changes nothing and is fine.
pub fn vote(promotion: &mut Promotion, spec: &ApprovalSpec, vote: Vote) -> Result<(), VoteFault> {
    let what = format!("{} in {}", promotion.id.release, promotion.environment);
    let state = promotion.state.to_string();
    let waiting = promotion.state == PromotionState::AwaitingApproval;
    let Some(approval) = promotion.approval.as_mut().filter(|_| waiting) else {
        return Err(VoteFault::NotAsked(what, state));
    };
    if !spec.approvers.contains(&vote.person) {
        return Err(VoteFault::NotApprover(
            vote.person.to_string(),
            names(&spec.approvers),
        ));
    }
    if vote.at >= approval.expires_at {
        return Err(VoteFault::Expired(what, approval.expires_at));
    }
    let asked_by_voter =
        matches!(&promotion.asked_by, Asker::Person { person: Some(person), .. } if *person == vote.person);
    if spec.four_eyes && vote.approve && asked_by_voter {
        return Err(VoteFault::FourEyes(vote.person));
    }
    match approval.votes.iter().find(|before| before.person == vote.person) {
        Some(before) if before.approve == vote.approve => Ok(()),
        Some(before) => Err(VoteFault::AlreadyVoted(
            vote.person,
            if before.approve { "approved" } else { "rejected" },
        )),
        None => {
            approval.votes.push(vote);
            Ok(())
        }
    }
}

/// `ana`, `ana or ben`, `ana, ben or carl`.
pub fn names(people: &[PersonName]) -> String {
    match people {
        [] => "nobody".to_owned(),
        [one] => one.to_string(),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(PersonName::as_str).collect();
            format!("{} or {last}", first.join(", "))
        }
    }
}

impl std::fmt::Display for PromotionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Wanted => "wanted",
            Self::AwaitingApproval => "awaiting approval",
            Self::RollingOut => "rolling out",
            Self::Verified => "verified",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Aborted => "aborted",
            Self::Refused => "refused",
            Self::Preempted => "preempted",
        })
    }
}
