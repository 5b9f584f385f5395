#![doc = include_str!("../README.md")]

pub mod definition;
pub mod diagnostic;
pub mod validate;

pub mod control;
pub mod expression;
pub mod message;
pub mod migration;
pub mod plan;
pub mod step_type;
pub mod trace;
pub mod trigger;

pub mod fork;
pub mod labels;
pub mod machine;
pub mod retry;
pub mod searchable;
pub mod suspension;

pub mod attempt;
pub mod blob;
pub mod callback;
pub mod capability;
pub mod cut;
pub mod failure;
pub mod placeholder;
pub mod policy;
pub mod signature;

mod position;
