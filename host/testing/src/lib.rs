#![doc = include_str!("../README.md")]

pub mod bombs;
mod database;
pub mod guests;
mod private;
mod shared;
mod throttle;

pub use database::{TableLock, TestDatabase, database};
pub use postgres::StopMode;
pub use private::{PrivatePostgres, private_postgres};
pub use shared::{TestServer, postgres};
pub use throttle::Throttle;
