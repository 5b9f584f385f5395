//! Turns a title into a slug for a URL: letters and digits in lower case, everything else becomes one hyphen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stateflow_plugin::{Call, Error};

/// What the step is given.
#[derive(Deserialize, JsonSchema)]
struct Config {
    /// The title, in any language.
    title: String,
    /// At most this many characters; the default is 80.
    #[serde(default = "default_length", rename = "maxLength")]
    max_length: usize,
}

/// What the step answers.
#[derive(Serialize, JsonSchema)]
struct Output {
    /// Such as `grüße-aus-köln`.
    slug: String,
}

fn default_length() -> usize {
    80
}

fn run(_: &Call, config: Config) -> Result<Output, Error> {
    let slug = slugify(&config.title, config.max_length);
    if slug.is_empty() {
        return Err(Error::permanent("no-letters", "the title has no letters or digits"));
    }
    Ok(Output { slug })
}

fn slugify(title: &str, max_length: usize) -> String {
    let mut slug = String::with_capacity(title.len());
    let mut length = 0;
    let mut gap = false;
    for character in title.chars().flat_map(char::to_lowercase) {
        if !character.is_alphanumeric() {
            gap = !slug.is_empty();
            continue;
        }
        // The hyphen and the letter after it come together or not at all.
        let wanted = if gap { 2 } else { 1 };
        if length + wanted > max_length {
            break;
        }
        if std::mem::take(&mut gap) {
            slug.push('-');
        }
        slug.push(character);
        length += wanted;
    }
    slug
}

stateflow_plugin::step! {
    name: "demo/slugify",
    version: "1.0.0",
    description: "Turns a title into a slug for a URL",
    run: run,
}

#[cfg(test)]
mod tests {
    use super::slugify;

    #[test]
    fn letters_of_any_language_are_lowered_and_the_rest_is_hyphens() {
        assert_eq!(slugify("  Grüße aus KÖLN -- 2026! ", 80), "grüße-aus-köln-2026");
        assert_eq!(slugify("ΑΘΗΝΑ / Москва", 80), "αθηνα-москва");
        assert_eq!(slugify("!?", 80), "");
    }

    #[test]
    fn a_slug_is_cut_without_a_hyphen_at_its_end() {
        assert_eq!(slugify("ab cd", 2), "ab");
        assert_eq!(slugify("ab cd", 3), "ab");
        assert_eq!(slugify("ab cd", 4), "ab-c");
    }
}
