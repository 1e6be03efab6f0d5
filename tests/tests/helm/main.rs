//! A chart that a team already has, delivered by the real helm.
//!
//! | file | what |
//! |---|---|
//! | `charts` | charts of several kinds, each through its whole life |
//! | `delivery` | installed, upgraded, failed, rolled back, adopted |
//! | `admin` | what an administrator does: for the others |
//! | `kills` | killed in each phase, and run again |
//! | `preempt` | two at once: who wins, and who waits |
//! | `held` | helm caught in the middle: for the others |

mod admin;
mod charts;
mod delivery;
mod held;
mod kills;
mod preempt;
