//! One namespace of one EKS cluster: what runs there, and what is to run there.
//!
//! `Clusters::connect` finds the cluster, signs a token and hands out a `Namespace`, which observes workloads and their pods,
//! applies a bundle under a fence, and waits for pods; moves traffic between tracks, and looks where it goes; runs Jobs; reads
//! what helm keeps of a release, and fences helm; and asks what a server-side apply would change. What is observed becomes the domain's `Observation`; every decision over it is the
//! domain's.

mod access;
mod apply;
mod autoscalers;
mod bundle_differences;
mod config_maps;
mod connection;
mod deployments;
mod differences;
mod error;
mod fence;
mod helm_fence;
mod helm_record;
mod helm_releases;
mod job_logs;
mod job_wait;
mod jobs;
mod namespace;
mod objects;
mod observe;
mod pods;
mod reading;
mod request;
mod router;
mod router_endpoints;
mod router_write;
mod sets;
mod stuck_sets;
mod token;
mod wait;

pub use access::ClusterAccess;
pub use apply::Applied;
pub use connection::{ClusterAddress, Clusters};
pub use error::ClusterError;
pub use namespace::Namespace;
pub use router::IngressAddress;
pub use router_write::Shifted;
pub use wait::WaitEnd;
