//! `/api/executions` and `/api/workflows/{id}/execute`: starting, reading and acting on executions.

pub(crate) mod act;
pub(crate) mod bulk;
pub(crate) mod children;
pub(crate) mod follow;
pub(crate) mod fork;
pub(crate) mod logs;
pub(crate) mod read;
pub(crate) mod start;
pub(crate) mod why;
