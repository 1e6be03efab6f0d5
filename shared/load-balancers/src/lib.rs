//! What an Application Load Balancer itself says of an Ingress: its rules, and the health behind them.
//!
//! `LoadBalancers::read` answers with the domain's `router::LoadBalancer`; what it means is the domain's to say. Nothing is ever
//! written: the AWS Load Balancer Controller does that, from the Ingress.

mod error;
mod load_balancers;
mod reading;

pub use error::LoadBalancersError;
pub use load_balancers::LoadBalancers;
