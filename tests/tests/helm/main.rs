//! A chart that a team already has, delivered by the real helm.
//!
//! | file | what |
//! |---|---|
//! | `delivery` | installed, upgraded, failed, rolled back, adopted |

mod delivery;
