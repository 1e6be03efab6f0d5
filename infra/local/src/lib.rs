//! AWS and Kubernetes on one machine: what starts them, and what tests, the demo and the bench do with them.
//!
//! [`Environment::load`] finds the environment that `sluice-local up` or `sluice-local run` started; [`image`] makes
//! and pushes images, [`cluster`] is the administrator of a cluster, [`faults`] holds, delays and fails the calls of
//! Sluice's functions, [`invocations`] lists and kills what runs, [`etcd`] is a cluster's whole
//! history, [`https`] is a vendor's endpoint.
//! README.md beside this crate says what is real, what is emulated and what is simulated.

pub mod cluster;
pub mod environment;
pub mod etcd;
pub mod faults;
pub mod https;
pub mod image;
pub mod invocations;
pub mod routing;

#[doc(hidden)]
pub mod aws;
#[doc(hidden)]
pub mod control_plane;
#[doc(hidden)]
pub mod deploy;
#[doc(hidden)]
pub mod doubles;
#[doc(hidden)]
pub mod furnish;
#[doc(hidden)]
pub mod node;
#[doc(hidden)]
pub mod places;
#[doc(hidden)]
pub mod process;
#[doc(hidden)]
pub mod supervisor;
#[doc(hidden)]
pub mod tools;

pub use environment::{Cluster, Environment};
