//! A chart that a team already has, delivered by the real helm.
//!
//! | file | what |
//! |---|---|
//! | `delivery` | installed, upgraded, failed, rolled back, adopted |
//! | `kills` | killed in each phase, and run again |
//! | `held` | helm caught in the middle: for the others |

mod delivery;
mod held;
mod kills;
