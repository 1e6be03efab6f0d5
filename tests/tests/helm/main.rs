//! A chart that a team already has, delivered by the real helm.
//!
//! | file | what |
//! |---|---|
//! | `delivery` | installed, upgraded, failed, rolled back, adopted |
//! | `drift` | what others changed: stops a rollout, or is written over |
//! | `history` | a way back is byte for byte the revision that it goes to |
//! | `registry` | charts in ECR |
//! | `scale` | a part of production's replicas |
//! | `secrets` | values from Secrets Manager reach the cluster, and nothing else |

mod delivery;
mod drift;
mod history;
mod registry;
mod scale;
mod secrets;
