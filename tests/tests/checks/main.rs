//! Checks before a rollout and after it: each passing, failing, and never answering.
//!
//! | file | what |
//! |---|---|
//! | `jobs` | Kubernetes Jobs, for manifests and for a chart |
//! | `functions` | Lambda functions |
//! | `webhooks` | HTTPS endpoints: signed, retried, answered later |
//! | `helm_test` | a chart's own tests |
//! | `meanwhile` | a rollback, and pods that crash, while a check runs or is held |

mod functions;
mod helm_test;
mod jobs;
mod meanwhile;
mod scene;
mod webhooks;
