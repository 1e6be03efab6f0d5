//! What the demo, the bench and the scenarios share: a world to act in, people who act, and what can be seen.

pub mod act;
pub mod alarms;
pub mod alone;
pub mod outside;
pub mod report;
pub mod rows;
pub mod seen;
pub mod service;
pub mod traffic;
pub mod vendor;
pub mod wait;
pub mod world;

pub use world::{Person, Said, World};
