//! Releases on two tracks: canary, blue-green, and the way back, with what a request would have met at every revision of
//! the cluster.

mod adopted;
mod alarms;
mod alb;
mod blue_green;
mod canary;
mod commands;
mod failures;
mod helm;
mod scene;
mod service;
mod warm;
mod wrong_order;
