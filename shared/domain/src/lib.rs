//! What Sluice is about: releases, environments, rollouts, and every decision over them.
//!
//! Nothing here does I/O: the crate depends on nothing that could. The time is always passed in.

pub mod admission;
pub mod alarm;
pub mod api;
pub mod approval;
pub mod budget;
pub mod bundle;
pub mod canonical;
pub mod check;
pub mod difference;
pub mod environment;
pub mod gates;
pub mod helm;
pub mod ids;
pub mod image_event;
pub mod ledger;
pub mod pipeline;
pub mod plan;
pub mod promotion;
pub mod queue;
pub mod recovery;
pub mod release;
pub mod rollback;
pub mod rollout;
pub mod router;
#[cfg(test)]
mod samples;
pub mod seen;
pub mod service;
pub mod tracks;
pub mod turn;
pub mod want;
pub mod watch;
pub mod wire;
pub mod workload;
