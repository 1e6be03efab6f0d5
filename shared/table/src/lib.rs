//! The DynamoDB table: one table for everything, laid out as `docs/architecture.md` says.
//!
//! Every read is consistent and every question is one `GetItem` or one `Query` whose cost does not grow with history.
//! Every write is conditional on what was read, in one transaction; only blobs, whose name is their content, are put
//! without a condition. Nothing scans.

mod blob;
mod error;
mod item;
mod key;
mod loads;
mod rows;
mod table;
mod transaction;

pub use error::TableError;
pub use item::{Item, Stored};
pub use key::Key;
pub use loads::{Overview, Page};
pub use rows::{AlarmRow, DigestRow, RepositoryRow, ServiceRow};
pub use table::{Table, Usage};
pub use transaction::{MOST_WRITES, Transaction};
