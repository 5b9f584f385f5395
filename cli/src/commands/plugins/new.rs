//! `plugin new`: a folder that builds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use engine::step_type::is_plugin_name;

use super::templates;
use crate::arguments::NewOptions;
use crate::output::{self, Usage};

/// Writes a template into a new folder.
pub(super) fn new(options: &NewOptions) -> anyhow::Result<ExitCode> {
    let name = if options.name.contains('/') {
        options.name.clone()
    } else {
        format!("demo/{}", options.name)
    };
    if !is_plugin_name(&name) {
        let message = format!(
            "`{name}` is not a plugin name: it is `team/name`, of lower-case letters, digits and dashes"
        );
        return Err(Usage(message).into());
    }
    let short = name.rsplit('/').next().unwrap_or(&name);
    let folder = options.dir.clone().unwrap_or_else(|| PathBuf::from(short));
    begin(&folder)?;
    for (path, text) in templates::COMMON.iter().chain(templates::files(options.lang)) {
        let text = text.replace("{{name}}", &name).replace("{{crate}}", short);
        write(&folder.join(path), &text)?;
    }
    output::line(folder.display())?;
    output::note(&format!("build it: stateflow plugin build {}", folder.display()));
    Ok(ExitCode::SUCCESS)
}

/// Makes the folder; one that has something in it is left alone.
fn begin(folder: &Path) -> anyhow::Result<()> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let message = format!("{} is not empty: name another --dir", folder.display());
        return Err(Usage(message).into());
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
