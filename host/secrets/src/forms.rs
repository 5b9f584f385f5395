//! The forms in which a value may come back: as it is, and as others write it into JSON, URLs, headers and dumps.

use std::collections::BTreeSet;

use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode};
use url::form_urlencoded;

/// All but what RFC 3986, section 2.3, calls unreserved.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// As browsers encode a component: ECMA-262, section 19.2.6.
const COMPONENT: &AsciiSet =
    &STRICT.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');
/// As a path's segment has to be encoded at least: RFC 3986, section 3.3.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Lines of a value that are as long as this are forms as well: keys are logged line by line.
const MIN_LINE_BYTES: usize = 24;

/// All forms of a value, each once.
pub(crate) fn of(value: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::from([value.as_bytes().to_vec()]);
    let mut add = |form: String| {
        forms.insert(form.into_bytes());
    };
    for json in [json_inner(value), ascii_json(value)] {
        // Some writers escape the slash, which JSON allows.
        add(json.replace('/', "\\/"));
        add(json);
    }
    for encoded in percent_forms(value.as_bytes()) {
        add(encoded);
    }
    let lines = value.lines().map(str::trim).filter(|line| line.len() >= MIN_LINE_BYTES);
    // What all keys have in common is no secret: RFC 7468, section 2.
    lines.filter(|line| !line.starts_with("-----")).for_each(|line| add(line.to_owned()));
    add(hex::encode(value));
    add(hex::encode_upper(value));
    for alignment in 0..3 {
        let standard = base64_inner(value.as_bytes(), alignment, &BASE64_STANDARD_NO_PAD);
        percent_forms(standard.as_bytes()).into_iter().for_each(&mut add);
        add(standard);
        add(base64_inner(value.as_bytes(), alignment, &BASE64_URL_SAFE_NO_PAD));
    }
    forms
}

/// A text as it stands between the quotes of a JSON string.
pub(crate) fn json_inner(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The same by a writer that leaves nothing but ASCII.
fn ascii_json(text: &str) -> String {
    use std::fmt::Write as _;
    let mut ascii = String::new();
    for c in json_inner(text).chars() {
        if c.is_ascii() {
            ascii.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(ascii, "\\u{unit:04x}").expect("writing to a string cannot fail");
        }
    }
    ascii
}

/// Encoders differ in what they leave as it is, and in the case of their digits.
fn percent_forms(bytes: &[u8]) -> Vec<String> {
    let sets = [STRICT, COMPONENT, SEGMENT];
    let mut forms: Vec<_> = sets.map(|set| percent_encode(bytes, set).to_string()).to_vec();
    forms.push(form_urlencoded::byte_serialize(bytes).collect());
    let lower: Vec<_> = forms.iter().map(|form| lower_digits(form)).collect();
    forms.extend(lower);
    forms
}

fn lower_digits(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (digits, rest) = part.split_at(2.min(part.len()));
        format!("{text}%{}{rest}", digits.to_ascii_lowercase())
    })
}

/// What all base64 texts have in common in which the value begins at a place that is so much beyond a multiple of three:
/// the digits that no neighbour has a part in.
fn base64_inner(value: &[u8], alignment: usize, alphabet: &impl base64::Engine) -> String {
    let text = alphabet.encode([vec![0; alignment], value.to_vec()].concat());
    let first = (alignment * 8).div_ceil(6);
    let last = (alignment + value.len()) * 8 / 6;
    text[first..last].to_owned()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    #[test]
    fn a_value_s_base64_is_found_in_any_neighbourhood() {
        let value = "p/ss+word?>~ü";
        let forms = of(value);
        for before in ["", "a", "ab", "abc", "user:"] {
            for after in ["", "x", "xy", "xyz"] {
                let text = format!("{before}{value}{after}");
                for encoded in
                    [BASE64_STANDARD_NO_PAD.encode(&text), BASE64_URL_SAFE_NO_PAD.encode(&text)]
                {
                    let found = forms.iter().any(|it| {
                        it.len() >= 10 && encoded.contains(std::str::from_utf8(it).unwrap())
                    });
                    assert!(found, "{text} {encoded}");
                }
            }
        }
    }

    #[test]
    fn every_common_way_to_write_it_is_among_the_forms() {
        let forms = of("a/b \"c\"=ü?");
        for form in [
            "a/b \"c\"=ü?",
            "a/b \\\"c\\\"=ü?",
            "a\\/b \\\"c\\\"=\\u00fc?",
            "a%2Fb%20%22c%22%3D%C3%BC%3F",
            "a%2fb%20%22c%22%3d%c3%bc%3f",
            "a%2Fb+%22c%22%3D%C3%BC%3F",
            "a%2Fb%20%22c%22=%C3%BC%3F",
            "612f62202263223dc3bc3f",
            "612F62202263223DC3BC3F",
        ] {
            assert!(forms.contains(form.as_bytes()), "{form}");
        }
    }

    #[test]
    fn a_key_s_lines_are_forms_and_its_label_is_none() {
        let (label, line) = ("-----BEGIN PRIVATE KEY-----", "MC4CAQAwBQYDK2VwBCIEIA==");
        let forms = of(&format!("{label}\n{line}\nshort\n"));
        let has = |text: &str| forms.contains(text.as_bytes());
        assert_eq!([has(line), has(label), has("short")], [true, false, false]);
    }

    #[test]
    fn no_form_is_short() {
        for value in ["12345678", "        ", "üüüü", "////////"] {
            assert!(of(value).iter().all(|form| form.len() >= 8), "{value}");
        }
    }
}
