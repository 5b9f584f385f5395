#![doc = include_str!("../README.md")]

pub mod keyring;
pub mod secret;

mod forms;
pub mod scrubber;

pub mod holder;
pub mod opened;
mod swap;

mod jwt;
pub mod sigv4;

pub mod error;

pub use error::{SealError, SecretError, SignError};
pub use holder::{Holder, Reach};
pub use jwt::JwtAlgorithm;
pub use keyring::{Keyring, Place, Sealed};
pub use opened::{Opened, Secret};
pub use scrubber::Scrubber;
pub use secret::{SecretValue, check_name, check_rules};
