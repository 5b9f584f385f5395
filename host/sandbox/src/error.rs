//! What can go wrong before a plugin runs: with the upload, with the compiler, or with this host.
//!
//! What goes wrong while it runs is not an error of the host but an attempt's
//! `engine::failure::Failure`.

use std::borrow::Cow;

/// Why the sandbox could not be built, or why it refuses a plugin.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The operator's configuration contradicts itself.
    #[error("sandbox configuration: {0}")]
    Config(String),
    /// The uploaded bytes are not a plugin that can run here. The author's to mend.
    #[error("{message}; {help}")]
    Invalid {
        /// A stable code, such as `PLUGIN_NOT_WASM`.
        code: Cow<'static, str>,
        /// What is wrong.
        message: String,
        /// What to do about it.
        help: String,
    },
    /// Compiling took longer than `compile_timeout`, or waited that long for its turn.
    #[error(
        "plugin {digest} was not compiled within {seconds} s; try again when fewer plugins are \
         being uploaded, or make the plugin smaller"
    )]
    CompileTimeout {
        /// The component's digest.
        digest: String,
        /// The limit that passed.
        seconds: u64,
    },
    /// Our own fault: the engine could not be set up.
    #[error("cannot set up the wasm engine")]
    Engine(#[source] wasmtime::Error),
    /// Our own fault: the system refused a thread or a directory.
    #[error("cannot {action}")]
    System {
        /// What was being done.
        action: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl SandboxError {
    /// The stable code of a refused upload, if that is what this is.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Invalid { code, .. } => Some(code),
            _ => None,
        }
    }

    pub(crate) fn invalid(
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self::Invalid { code: Cow::Borrowed(code), message: message.into(), help: help.into() }
    }
}
