//! `stateflow blob`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum BlobCommand {
    /// Keep a file, and print what stands for it in inputs: `blob:sha256:…`.
    Put {
        /// The file; - for standard input.
        file: PathBuf,
    },
    /// Fetch what a reference stands for.
    Get {
        /// `blob:sha256:…`
        reference: String,
        /// Where to write it [default: standard output].
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Delete a blob; what refers to it refers to nothing then.
    Delete {
        /// `blob:sha256:…`
        reference: String,
    },
}
