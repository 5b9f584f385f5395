//! Servers by name: the file `stateflow/config.toml` in the user's folder for settings.
//!
//! It names where a token comes from and never holds one. Because a command in it is run, nobody else may write to it; and
//! nobody else may read the file of a token.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;
use toml_edit::{DocumentMut, Item, Table, value};

use crate::output::Usage;

/// What the file looks like when we make it.
const OPENING: &str = "# Servers for `stateflow --profile NAME`: see `stateflow help profile`.\n";

/// A server, and where its token comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) url: String,
    pub(crate) token_command: Option<String>,
    pub(crate) token_file: Option<PathBuf>,
}

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profiles {
    /// The one that is used.
    pub(crate) default: Option<String>,
    #[serde(default)]
    pub(crate) profiles: BTreeMap<String, Profile>,
}

impl Profiles {
    /// The profile of a name.
    pub(crate) fn get(&self, name: &str) -> anyhow::Result<&Profile> {
        self.profiles.get(name).ok_or_else(|| {
            let near = engine::diagnostic::Diagnostic::did_you_mean(
                name,
                self.profiles.keys().map(String::as_str),
            );
            let help = near.unwrap_or_else(|| "see `stateflow profile list`".to_owned());
            Usage(format!("there is no profile `{name}`: {help}")).into()
        })
    }

    fn check(&self) -> anyhow::Result<()> {
        for (name, profile) in &self.profiles {
            if profile.token_command.is_some() && profile.token_file.is_some() {
                bail!("profile `{name}` has both `token_command` and `token_file`");
            }
        }
        if let Some(name) = self.default.as_ref().filter(|it| !self.profiles.contains_key(*it)) {
            bail!("`default` names the profile `{name}`, which is not there");
        }
        Ok(())
    }
}

/// The file, to be read and changed. What people wrote there stays, comments too.
pub(crate) struct ProfileFile {
    path: PathBuf,
    document: DocumentMut,
    pub(crate) content: Profiles,
}

impl ProfileFile {
    /// The user's own: `$XDG_CONFIG_HOME/stateflow/config.toml`, or in `~/.config`.
    pub(crate) fn of_user() -> anyhow::Result<Self> {
        let given = |name: &str| std::env::var_os(name).filter(|it| !it.is_empty());
        let folder = given("XDG_CONFIG_HOME").map(PathBuf::from);
        let folder = folder.or_else(|| Some(PathBuf::from(given("HOME")?).join(".config")));
        let Some(folder) = folder else {
            bail!("no place for settings: neither XDG_CONFIG_HOME nor HOME is set");
        };
        Self::read(folder.join("stateflow/config.toml"))
    }

    /// A file that need not be there.
    pub(crate) fn read(path: PathBuf) -> anyhow::Result<Self> {
        let text = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => OPENING.to_owned(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
            Ok(about) if about.mode() & 0o022 != 0 => bail!(
                "{0} can be written by others, and names commands that are run: chmod 600 {0}",
                path.display()
            ),
            Ok(_) => fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?,
        };
        let parsed = || -> anyhow::Result<_> {
            let document: DocumentMut = text.parse()?;
            let content: Profiles = toml_edit::de::from_document(document.clone())?;
            content.check()?;
            Ok((document, content))
        };
        let (document, content) =
            parsed().with_context(|| format!("{} is not valid", path.display()))?;
        Ok(Self { path, document, content })
    }

    /// Adds a profile, or replaces it; the first one is used from then on.
    pub(crate) fn add(&mut self, name: &str, profile: &Profile) -> anyhow::Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(plain) {
            bail!(Usage(format!("`{name}` is no name: letters, digits, `-`, `_` and `.`")));
        }
        let mut table = Table::new();
        table["url"] = value(&profile.url);
        if let Some(command) = &profile.token_command {
            table["token_command"] = value(command);
        }
        if let Some(file) = &profile.token_file {
            table["token_file"] = value(file.display().to_string());
        }
        let profiles = self.document.entry("profiles").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        let Some(profiles) = profiles.as_table_like_mut() else {
            bail!("`profiles` in {} is not a table", self.path.display());
        };
        profiles.insert(name, Item::Table(table));
        if self.content.profiles.is_empty() {
            self.document["default"] = value(name);
        }
        self.write()
    }

    /// Says which profile is used; none if there is none.
    pub(crate) fn choose(&mut self, name: Option<&str>) -> anyhow::Result<()> {
        match name {
            Some(name) => {
                self.content.get(name)?;
                self.document["default"] = value(name);
            }
            None => drop(self.document.remove("default")),
        }
        self.write()
    }

    /// Removes a profile.
    pub(crate) fn remove(&mut self, name: &str) -> anyhow::Result<()> {
        self.content.get(name)?;
        if let Some(profiles) = self.document["profiles"].as_table_like_mut() {
            profiles.remove(name);
        }
        if self.content.default.as_deref() == Some(name) {
            self.document.remove("default");
        }
        self.write()
    }

    /// Whole or not at all, and for the user alone.
    fn write(&mut self) -> anyhow::Result<()> {
        let content: Profiles = toml_edit::de::from_document(self.document.clone())?;
        content.check()?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let written = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            let mut file = tempfile::Builder::new().prefix(".config").tempfile_in(folder)?;
            file.write_all(self.document.to_string().as_bytes())?;
            file.persist(&self.path)?;
            Ok(())
        };
        written().with_context(|| format!("cannot write {}", self.path.display()))?;
        self.content = content;
        Ok(())
    }
}

/// The token in a file that nobody else may read.
pub(crate) fn token_in(file: &Path) -> anyhow::Result<String> {
    let open = || -> anyhow::Result<String> {
        let opened = fs::File::open(file)?;
        let mode = opened.metadata()?.mode();
        if mode & 0o077 != 0 {
            bail!("others can read it (mode {:03o}): chmod 600 it", mode & 0o777);
        }
        Ok(io::read_to_string(opened)?)
    };
    let text = open().with_context(|| format!("cannot take the token from {}", file.display()))?;
    one_line(&text).with_context(|| format!("{} has no token", file.display()))
}

/// The token that a command prints.
pub(crate) fn token_of(command: &str) -> anyhow::Result<String> {
    let output = std::process::Command::new("sh")
        .args(["-c", command])
        // It may ask for a password; what it says is for the user.
        .stderr(std::process::Stdio::inherit())
        .stdin(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run `{command}`"))?;
    if !output.status.success() {
        bail!("`{command}`, which prints the token, failed: {}", output.status);
    }
    let text = String::from_utf8(output.stdout).unwrap_or_default();
    one_line(&text).with_context(|| format!("`{command}` printed no token"))
}

fn one_line(text: &str) -> Option<String> {
    let line = text.trim();
    (!line.is_empty() && !line.contains(char::is_control)).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn profile(url: &str) -> Profile {
        Profile { url: url.to_owned(), ..Profile::default() }
    }

    fn with_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_change_leaves_what_people_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let written = "# mine\ndefault = \"a\"\n\n[profiles.a] # the first\nurl = \"http://a\"\n";
        fs::write(&path, written).unwrap();
        with_mode(&path, 0o600);
        let mut file = ProfileFile::read(path.clone()).unwrap();
        let added = Profile { token_file: Some("/t".into()), ..profile("http://b") };
        file.add("b", &added).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# mine\n") && text.contains("# the first"), "{text}");
        let mut file = ProfileFile::read(path.clone()).unwrap();
        assert_eq!(file.content.get("b").unwrap(), &added);
        assert_eq!(file.content.default.as_deref(), Some("a"));
        file.remove("b").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), written);
    }

    #[test]
    fn the_first_profile_is_used_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/config.toml");
        let mut file = ProfileFile::read(path.clone()).unwrap();
        file.add("a", &profile("http://a")).unwrap();
        file.add("b", &profile("http://b")).unwrap();
        assert_eq!(file.content.default.as_deref(), Some("a"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        file.choose(Some("b")).unwrap();
        file.remove("b").unwrap();
        assert_eq!(ProfileFile::read(path).unwrap().content.default, None);
        assert!(file.choose(Some("b")).unwrap_err().is::<Usage>());
        assert!(file.add("b c", &profile("http://b")).unwrap_err().is::<Usage>());
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, "").unwrap();
        for (mode, fine) in [(0o600, true), (0o644, true), (0o620, false), (0o602, false)] {
            with_mode(&path, mode);
            assert_eq!(ProfileFile::read(path.clone()).is_ok(), fine, "{mode:o}");
        }
    }

    #[test]
    fn a_file_that_says_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for text in [
            "default = \"a\"",
            "defualt = \"a\"",
            "[profiles.a]\nurl = \"http://a\"\ntoken = \"x\"",
            "[profiles.a]\nurl = \"http://a\"\ntoken_file = \"x\"\ntoken_command = \"x\"",
            "[profiles.a]",
            "[profiles",
        ] {
            fs::write(&path, text).unwrap();
            with_mode(&path, 0o600);
            assert!(ProfileFile::read(path.clone()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_comes_from_a_private_file_or_a_command() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "abc\n").unwrap();
        with_mode(&path, 0o600);
        assert_eq!(token_in(&path).unwrap(), "abc");
        for mode in [0o640, 0o604] {
            with_mode(&path, mode);
            let said = format!("{:#}", token_in(&path).unwrap_err());
            assert!(said.contains("others can read it"), "{said}");
        }
        with_mode(&path, 0o600);
        fs::write(&path, "\n").unwrap();
        assert!(token_in(&path).is_err());
        assert_eq!(token_of("printf 'a%s\\n' bc").unwrap(), "abc");
        assert!(token_of("true").is_err() && token_of("echo abc; false").is_err());
    }
}
