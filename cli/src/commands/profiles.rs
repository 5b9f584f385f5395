//! `profile`: servers by name. Needs no server.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::arguments::{AddProfileOptions, ProfileCommand};
use crate::output::{self, Usage};
use crate::profiles::{Profile, ProfileFile};

/// Carries out one of them.
pub(crate) fn profile(command: ProfileCommand, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut file = ProfileFile::of_user()?;
    match command {
        ProfileCommand::List => list(&file, as_json)?,
        ProfileCommand::Add(options) => add(&mut file, options)?,
        ProfileCommand::Use { name } => {
            file.choose(name.as_deref())?;
            match name {
                Some(name) => output::note(&format!("profile {name} is used from now on")),
                None => output::note("no profile is used from now on"),
            }
        }
        ProfileCommand::Remove { name } => {
            file.remove(&name)?;
            output::note(&format!("profile {name} is removed"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(file: &ProfileFile, as_json: bool) -> anyhow::Result<()> {
    let used = |name: &String| file.content.default.as_ref() == Some(name);
    if as_json {
        let items = file.content.profiles.iter().map(|(name, profile)| {
            json!({
                "name": name, "url": profile.url, "used": used(name),
                "tokenCommand": profile.token_command, "tokenFile": profile.token_file,
            })
        });
        return output::json(&Value::Array(items.collect()));
    }
    let rows = file.content.profiles.iter().map(|(name, profile)| {
        let star = if used(name) { "*" } else { "" };
        vec![star.to_owned(), name.clone(), profile.url.clone(), token(profile)]
    });
    output::table(
        &["", "NAME", "URL", "TOKEN"],
        rows.collect(),
        "no profiles; add one: stateflow profile add NAME URL",
    )
}

fn token(profile: &Profile) -> String {
    let command = profile.token_command.as_ref().map(|it| format!("of `{it}`"));
    let file = profile.token_file.as_ref().map(|it| format!("in {}", it.display()));
    command.or(file).unwrap_or_else(|| "none".to_owned())
}

fn add(file: &mut ProfileFile, options: AddProfileOptions) -> anyhow::Result<()> {
    let AddProfileOptions { name, server, token_command, token_file } = options;
    let url = reqwest::Url::parse(&server).ok();
    let is_server = url.is_some_and(|it| matches!(it.scheme(), "http" | "https") && it.has_host());
    if !is_server {
        return Err(
            Usage(format!("`{server}` is no URL such as https://stateflow.example.com")).into()
        );
    }
    // Other commands are called from other folders.
    let token_file = token_file.map(std::path::absolute).transpose()?;
    file.add(&name, &Profile { url: server, token_command, token_file })?;
    output::note(&format!("profile {name} is there: stateflow --profile {name} health"));
    Ok(())
}
