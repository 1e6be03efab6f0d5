//! The table adapter against the local AWS's DynamoDB.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../aws/mod.rs"]
mod aws;
mod blobs;
mod ledger;
mod races;
mod samples;
mod services;
