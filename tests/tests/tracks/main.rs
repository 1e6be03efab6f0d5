//! Releases on two tracks: canary, blue-green, and the way back, with what a request would have met at every revision of
//! the cluster.

mod canary;
mod helm;
mod service;
