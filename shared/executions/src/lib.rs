//! Executions of the state machines: started, asked after, woken.
//!
//! Task tokens never appear in an error, a log or `Debug`: what Step Functions says about a token may quote it, so of
//! such an answer only the code is kept.

mod error;
mod executions;

pub use error::ExecutionsError;
pub use executions::{
    ExecutionStatus, Executions, Kind, MachineArn, MachineArnError, PREEMPTED, Started, Woken,
};
