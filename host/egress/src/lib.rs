#![doc = include_str!("../README.md")]

pub mod address;
mod clients;
pub mod destination;
mod dns;
pub mod egress;
pub mod error;
mod failure;
pub mod grant;
mod headers;
pub mod meter;
mod path;
mod redirect;
pub mod resolver;
pub mod response;
pub mod rule;
pub mod secrets;
mod swap;

pub use address::{Class, Private};
pub use destination::{Destination, Scheme};
pub use egress::{Egress, EgressSettings, How};
pub use error::{Denial, EgressError};
pub use grant::{Caps, Grant, Party};
pub use ipnet::IpNet;
pub use meter::Meter;
pub use resolver::{Resolver, SystemResolver};
pub use response::{Receipt, Response};
pub use rule::{Rule, RuleError};
pub use secrets::{NoSecrets, Outlet, SecretRefused, Secrets, Written};
