//! The pure core: it decides, and does no I/O. Placeholder front page.

pub mod attempt;
pub mod failure;
