//! What stands for AWS's machines, on real API servers: `sluice-local run --without-sluice -- cargo test -p sluice-local --test
//! cluster`.
//!
//! | file | what |
//! |---|---|
//! | `alb` | what the double of the AWS Load Balancer Controller does, seen through the real `aws` command |
//! | `here` | a namespace of one test: for the others |
//! | `metrics` | metrics in proportion to traffic, and the alarms that they raise, seen through the same |
//! | `node` | what pods do on the simulated node |
//! | `traffic` | what the double of a Gateway's controller does |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod alb;
mod here;
mod metrics;
mod node;
mod traffic;
