//! ECR: an image as it is stored now. What an event said is never taken for it.

mod error;
mod manifest;
mod registry;

pub use error::RegistryError;
pub use registry::{ImageSummary, Registry};
