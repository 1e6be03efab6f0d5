//! ECR: an image or a chart as it is stored now. What an event said is never taken for it.

mod chart;
mod error;
mod manifest;
mod registry;

pub use chart::{Chart, MOST_CHART};
pub use error::RegistryError;
pub use registry::{ImageSummary, Registry};
