//! The fence on objects.

use crate::error::ClusterError;
use crate::namespace::Namespace;
use kube::core::ObjectMeta;
use sluice_domain::ids::Fence;
use sluice_domain::plan::FENCE_ANNOTATION;
use std::cmp::Ordering;

/// The greatest value that the admission policy reads: it has 18 digits.
const GREATEST: u64 = 999_999_999_999_999_999;

/// The fence that an object carries; 0 where it is missing or malformed.
pub(crate) fn fence_of(metadata: &ObjectMeta) -> Fence {
    let annotations = metadata.annotations.as_ref();
    Fence::from_annotation(
        annotations
            .and_then(|all| all.get(FENCE_ANNOTATION))
            .map(String::as_str),
    )
}

/// What the fence on an object says about a write with ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has not been written by this decision.
    Open,
    /// It was written by this very decision: an earlier try got through.
    Written,
}

impl Namespace {
    /// Whether this decision may and must still write the object.
    pub(crate) fn standing(
        &self,
        object: &str,
        found: &ObjectMeta,
        ours: Fence,
    ) -> Result<Standing, ClusterError> {
        let seen = fence_of(found);
        match seen.cmp(&ours) {
            Ordering::Less => Ok(Standing::Open),
            Ordering::Equal => Ok(Standing::Written),
            Ordering::Greater => Err(ClusterError::Preempted {
                object: self.place_of(object),
                seen,
                ours,
            }),
        }
    }

    /// What a 403 on a write means, by what is there now: the fence policy refuses a value that is not above the object's,
    /// also when the object has it from an earlier try of ours.
    pub(crate) fn forbidden(
        &self,
        object: &str,
        found: Option<&ObjectMeta>,
        ours: Fence,
        message: String,
    ) -> Result<(), ClusterError> {
        match found
            .map(|found| self.standing(object, found, ours))
            .transpose()?
        {
            Some(Standing::Written) => Ok(()),
            Some(Standing::Open) | None => Err(ClusterError::Refused {
                object: self.place_of(object),
                message,
            }),
        }
    }

    /// 0 is what an object without a fence counts as, and the policy takes what it cannot read for 0.
    pub(crate) fn check_fence(&self, fence: Fence) -> Result<(), ClusterError> {
        if (1..=GREATEST).contains(&fence.0) {
            return Ok(());
        }
        let message = format!("fence {fence} is not between 1 and {GREATEST}");
        Err(ClusterError::Invalid {
            object: format!("a write to cluster {}", self.cluster()),
            message,
        })
    }
}
