//! Releases on two tracks: canary, blue-green, and the way back, with what a request would have met at every revision of
//! the cluster.

mod alarms;
mod canary;
mod failures;
mod scene;
mod service;
