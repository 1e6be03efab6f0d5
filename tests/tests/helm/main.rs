//! A chart that a team already has, delivered by the real helm.
//!
//! | file | what |
//! |---|---|
//! | `admin` | what an administrator does: for the others |
//! | `charts` | charts of several kinds, each through its whole life |
//! | `delivery` | installed, upgraded, failed, rolled back, adopted |
//! | `drift` | what others changed: stops a rollout, or is written over |
//! | `held` | helm caught in the middle: for the others |
//! | `history` | a way back is byte for byte the revision that it goes to |
//! | `kills` | killed in each phase, and run again |
//! | `preempt` | two at once: who wins, and who waits |
//! | `registry` | charts in ECR |
//! | `scale` | a part of production's replicas |
//! | `secrets` | values from Secrets Manager reach the cluster, and nothing else |

mod admin;
mod charts;
mod delivery;
mod drift;
mod held;
mod history;
mod kills;
mod preempt;
mod registry;
mod scale;
mod secrets;
