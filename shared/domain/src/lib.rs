//! What Sluice is about: releases, environments, rollouts, and every decision over them.
//!
//! Nothing here does I/O: the crate depends on nothing that could. The time is always passed in.

pub mod ids;
pub mod image_event;
pub mod bundle;
pub mod canonical;
pub mod environment;
pub mod ledger;
pub mod pipeline;
pub mod plan;
pub mod promotion;
pub mod queue;
pub mod release;
pub mod service;
pub mod workload;
pub mod api;
pub mod wire;
pub mod approval;
pub mod gates;
pub mod rollout;
pub mod turn;
pub mod want;
pub mod recovery;
pub mod rollback;
pub mod admission;
#[cfg(test)]
mod samples;
