//! Which server client commands talk to, and with which token: the command line, before the environment, before the profile
//! that is used, before the server of `stateflow dev`.

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::arguments::Arguments;
use crate::client::Client;
use crate::output::Usage;
use crate::profiles::{self, Profile, ProfileFile, Profiles};

/// Where `stateflow dev` listens.
const DEFAULT_URL: &str = "http://127.0.0.1:4000";

/// What names a server, as far as it was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    url: Option<Sourced>,
    profile: Option<Sourced>,
    token: Option<Sourced>,
}

/// A value, and whether it stands on the command line rather than in the environment.
#[derive(Clone, Debug)]
struct Sourced {
    value: String,
    typed: bool,
}

/// A server, and where its token comes from.
#[derive(Debug, PartialEq, Eq)]
struct Connection {
    url: String,
    token: Token,
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    None,
    Itself(String),
    Of(Profile),
}

impl Given {
    /// What the arguments say.
    pub(crate) fn new(arguments: &Arguments, matches: &ArgMatches) -> Self {
        let sourced = |id: &str, value: &Option<String>| {
            let typed = matches.value_source(id) == Some(ValueSource::CommandLine);
            // A variable that is set and empty is how one takes it away for one command.
            let value = value.clone().filter(|it| !it.is_empty())?;
            Some(Sourced { value, typed })
        };
        Self {
            url: sourced("url", &arguments.url),
            profile: sourced("profile", &arguments.profile),
            token: sourced("token", &arguments.token),
        }
    }

    /// A client for the server that is meant. The file is not looked at if nothing in it matters, so that a broken one
    /// stops no command that can do without it.
    pub(crate) fn connect(&self) -> anyhow::Result<Client> {
        let profiles = if self.needs_profiles() {
            ProfileFile::of_user()?.content
        } else {
            Profiles::default()
        };
        let connection = self.resolve(&profiles)?;
        let token = match connection.token {
            Token::Itself(token) => Some(token),
            Token::Of(Profile { token_command: Some(command), .. }) => {
                Some(profiles::token_of(&command)?)
            }
            Token::Of(Profile { token_file: Some(file), .. }) => Some(profiles::token_in(&file)?),
            Token::None | Token::Of(_) => None,
        };
        Client::new(&connection.url, token.as_deref())
    }

    fn needs_profiles(&self) -> bool {
        self.url.is_none() || self.profile.as_ref().is_some_and(|it| it.typed)
    }

    fn resolve(&self, profiles: &Profiles) -> anyhow::Result<Connection> {
        let typed = |it: &Option<Sourced>| it.as_ref().is_some_and(|it| it.typed);
        if typed(&self.url) && typed(&self.profile) {
            return Err(Usage("give --url or --profile, not both".to_owned()).into());
        }
        let token = self.token.as_ref().map(|it| it.value.clone());
        // A profile's token is for the profile's server and for no other.
        if let Some(url) = self.url.as_ref().filter(|_| !typed(&self.profile)) {
            let token = token.map_or(Token::None, Token::Itself);
            return Ok(Connection { url: url.value.clone(), token });
        }
        let name = self.profile.as_ref().map(|it| &it.value).or(profiles.default.as_ref());
        let Some(name) = name else {
            let token = token.map_or(Token::None, Token::Itself);
            return Ok(Connection { url: DEFAULT_URL.to_owned(), token });
        };
        let profile = profiles.get(name)?.clone();
        let has_token = profile.token_command.is_some() || profile.token_file.is_some();
        // A profile that was asked for by name comes before the environment, with its token too.
        let own = has_token && typed(&self.profile) && !typed(&self.token);
        let url = profile.url.clone();
        let token = token.filter(|_| !own).map_or(Token::Of(profile), Token::Itself);
        Ok(Connection { url, token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profiles() -> Profiles {
        let profile = |name: &str| Profile {
            url: format!("http://{name}"),
            token_command: Some(format!("token {name}")),
            token_file: None,
        };
        let named = |name: &str| (name.to_owned(), profile(name));
        let bare = Profile { token_command: None, ..profile("bare") };
        Profiles {
            default: Some("used".to_owned()),
            profiles: [named("used"), named("named"), ("bare".to_owned(), bare)].into(),
        }
    }

    /// What is typed and what is in the environment, as `name=value`.
    fn resolved(typed: &str, environment: &str) -> String {
        let find = |name: &str| {
            let value = |text: &str| {
                text.split(' ')
                    .find_map(|it| it.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
            };
            let typed = value(typed).map(|value| Sourced { value, typed: true });
            typed.or_else(|| value(environment).map(|value| Sourced { value, typed: false }))
        };
        let given = Given { url: find("url"), profile: find("profile"), token: find("token") };
        match given.resolve(&profiles()) {
            Err(error) => format!("{}{error}", if error.is::<Usage>() { "usage: " } else { "" }),
            Ok(Connection { url, token }) => match token {
                Token::None => url,
                Token::Itself(token) => format!("{url} {token}"),
                Token::Of(profile) => {
                    format!("{url} {}", profile.token_command.unwrap_or_else(|| "-".to_owned()))
                }
            },
        }
    }

    #[test]
    fn the_command_line_comes_before_the_environment_before_the_profile() {
        for (typed, environment, wanted) in [
            ("", "", "http://used token used"),
            ("", "profile=named", "http://named token named"),
            ("", "url=http://env profile=named", "http://env"),
            ("", "url=http://env token=t", "http://env t"),
            ("", "token=t", "http://used t"),
            ("profile=named", "url=http://env", "http://named token named"),
            ("profile=named", "url=http://env token=t", "http://named token named"),
            ("profile=named token=x", "token=t", "http://named x"),
            ("profile=bare", "token=t", "http://bare t"),
            ("profile=bare", "", "http://bare -"),
            ("url=http://flag", "url=http://env profile=named", "http://flag"),
            ("url=http://flag", "token=t", "http://flag t"),
            ("url=http://flag profile=named", "", "usage: give --url or --profile, not both"),
        ] {
            assert_eq!(resolved(typed, environment), wanted, "typed {typed}, set {environment}");
        }
    }

    #[test]
    fn a_profile_that_is_not_there_is_a_mistake_of_the_caller() {
        let said = resolved("profile=name", "");
        assert!(
            said.starts_with("usage: there is no profile `name`") && said.contains("named"),
            "{said}"
        );
    }

    #[test]
    fn without_profiles_it_is_the_server_of_this_machine() {
        let connection = Given::default().resolve(&Profiles::default()).unwrap();
        assert_eq!(connection, Connection { url: DEFAULT_URL.to_owned(), token: Token::None });
    }
}
