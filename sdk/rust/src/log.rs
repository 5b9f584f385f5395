//! Lines for the execution's log. Outside of a plugin, in tests, they go to stderr.

pub use crate::bindings::stateflow::plugin::log::Level;

/// Finest detail.
pub fn trace(message: &str) {
    line(Level::Trace, message, &[]);
}

/// For whoever debugs the step.
pub fn debug(message: &str) {
    line(Level::Debug, message, &[]);
}

/// Worth knowing.
pub fn info(message: &str) {
    line(Level::Info, message, &[]);
}

/// Odd, but handled.
pub fn warn(message: &str) {
    line(Level::Warn, message, &[]);
}

/// Wrong.
pub fn error(message: &str) {
    line(Level::Error, message, &[]);
}

/// A line with facts beside its text.
pub fn line(level: Level, message: &str, fields: &[(&str, &str)]) {
    #[cfg(target_arch = "wasm32")]
    {
        let fields: Vec<(String, String)> =
            fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        crate::bindings::stateflow::plugin::log::log(level, message, &fields);
    }
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?} {message} {fields:?}");
}
