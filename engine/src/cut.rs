//! Texts that are too long to be kept whole. That one was cut can be seen, by people and by whoever has to find the
//! beginning of a secret at its end.

use std::borrow::Cow;

/// Stands at the end of a text that was cut.
pub const CUT_MARK: &str = "…";

/// The text, or its beginning with [`CUT_MARK`]: at most so many bytes, and whole characters.
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let Some(room) = most.checked_sub(CUT_MARK.len()) else { return Cow::Borrowed("") };
    Cow::Owned(format!("{}{CUT_MARK}", &text[..text.floor_char_boundary(room)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        for (text, most, kept) in [
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abc…"),
            ("abäefg", 6, "ab…"),
            ("abcd", 3, "…"),
            ("abc", 2, ""),
            ("", 0, ""),
        ] {
            assert_eq!(cut(text, most), kept, "{text} {most}");
        }
    }
}
