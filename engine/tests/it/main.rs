//! The engine from outside.

mod state_machine;
