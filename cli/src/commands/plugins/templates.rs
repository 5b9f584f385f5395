//! The templates of `plugin new`, as they are in `sdk/templates`. The Rust one takes the SDK along: it is on no
//! registry, and a plugin has to be buildable without this repository.

use crate::arguments::Language;

/// A path in the new folder, and its text with `{{name}}` and `{{crate}}` to be filled in.
pub(super) type TemplateFile = (&'static str, &'static str);

macro_rules! template {
    ($($path:literal from $source:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../sdk/", $source)))),*]
    };
}

/// What is in every folder.
pub(super) const COMMON: &[TemplateFile] = template! {
    "README.md" from "templates/README.md.in",
    ".gitignore" from "templates/gitignore",
};

/// What is in the folder of a language.
pub(super) fn files(language: Language) -> &'static [TemplateFile] {
    match language {
        Language::Rust => template! {
            "stateflow.plugin.json" from "templates/rust/stateflow.plugin.json",
            "Cargo.toml" from "templates/rust/Cargo.toml.in",
            "src/lib.rs" from "templates/rust/lib.rs",
            "stateflow/rust/Cargo.toml" from "rust/Cargo.toml",
            "stateflow/rust/README.md" from "rust/README.md",
            "stateflow/rust/src/lib.rs" from "rust/src/lib.rs",
            "stateflow/rust/src/blob.rs" from "rust/src/blob.rs",
            "stateflow/rust/src/error.rs" from "rust/src/error.rs",
            "stateflow/rust/src/export.rs" from "rust/src/export.rs",
            "stateflow/rust/src/http.rs" from "rust/src/http.rs",
            "stateflow/rust/src/log.rs" from "rust/src/log.rs",
            "stateflow/rust/src/progress.rs" from "rust/src/progress.rs",
            "stateflow/rust/src/secrets.rs" from "rust/src/secrets.rs",
            "stateflow/wit/v1/stateflow-plugin.wit" from "wit/v1/stateflow-plugin.wit",
        },
        Language::C => template! {
            "stateflow.plugin.json" from "templates/c/stateflow.plugin.json",
            "main.c" from "templates/c/main.c",
        },
        Language::Js => template! {
            "stateflow.plugin.json" from "templates/js/stateflow.plugin.json",
            "package.json" from "templates/js/package.json",
            "plugin.js" from "templates/js/plugin.js",
            "wit/step-minimal.wit" from "templates/wit/step-minimal.wit",
        },
        Language::Zig => template! {
            "stateflow.plugin.json" from "templates/zig/stateflow.plugin.json",
            "main.zig" from "templates/zig/main.zig",
        },
        Language::Python => template! {
            "stateflow.plugin.json" from "templates/python/stateflow.plugin.json",
            "app.py" from "templates/python/app.py",
            "wit/step-minimal.wit" from "templates/wit/step-minimal.wit",
        },
        Language::Go => template! {
            "stateflow.plugin.json" from "templates/go/stateflow.plugin.json",
            "go.mod" from "templates/go/go.mod.in",
            "main.go" from "templates/go/main.go",
        },
    }
}
