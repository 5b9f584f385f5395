//! From a JSON pointer to the line and column where the value stands in the source text.
//!
//! Works on text that `serde_json` has accepted; on any other text it finds nothing rather than something wrong.

/// Line and column of the value at `pointer`, both from 1, the column in characters. For a member of an
/// object it is the member's name.
pub(crate) fn locate(text: &str, pointer: &str) -> Option<(usize, usize)> {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    scanner.space();
    let mut found = scanner.at;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        found = match scanner.peek()? {
            b'{' => scanner.enter_member(&token)?,
            b'[' => scanner.enter_item(token.parse().ok()?)?,
            _ => return None,
        };
    }
    Some(line_column(text, found))
}

/// Line and column of a byte offset.
pub(crate) fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Skips a byte that has to be there, and space around it.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek()? == byte).then(|| self.at += 1)?;
        self.space();
        Some(())
    }

    /// Moves to the value of the named member; returns where its name stands.
    fn enter_member(&mut self, name: &str) -> Option<usize> {
        self.take(b'{')?;
        while self.peek()? != b'}' {
            let key_at = self.at;
            self.skip_string()?;
            let key: String = serde_json::from_slice(&self.bytes[key_at..self.at]).ok()?;
            self.take(b':')?;
            if key == name {
                return Some(key_at);
            }
            self.skip_value()?;
            self.comma();
        }
        None
    }

    /// Moves to the item with the given index; returns where it stands.
    fn enter_item(&mut self, index: usize) -> Option<usize> {
        self.take(b'[')?;
        for _ in 0..index {
            self.skip_value()?;
            self.take(b',')?;
        }
        (self.peek()? != b']').then_some(self.at)
    }

    fn comma(&mut self) {
        self.space();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.space();
        }
    }

    fn skip_string(&mut self) -> Option<()> {
        (self.peek()? == b'"').then(|| self.at += 1)?;
        loop {
            match self.peek()? {
                b'\\' => self.at += 2,
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                _ => self.at += 1,
            }
        }
    }

    fn skip_value(&mut self) -> Option<()> {
        self.space();
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => self.skip_string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' | b',' if depth == 0 => return Some(()),
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
            if depth == 0 && matches!(self.peek(), None | Some(b',' | b'}' | b']')) {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n  \"a\": [1, {\"b,]\": \"x}\"},\n    {\"c/d\": null}],\n  \"é\": {\"f\": 2}, \"g\": 3\n}";

    #[test]
    fn a_pointer_leads_to_the_place_of_its_value() {
        assert_eq!(locate(TEXT, ""), Some((1, 1)));
        assert_eq!(locate(TEXT, "/a"), Some((2, 3)));
        assert_eq!(locate(TEXT, "/a/0"), Some((2, 9)));
        assert_eq!(locate(TEXT, "/a/1/b,]"), Some((2, 13)));
        assert_eq!(locate(TEXT, "/a/2/c~1d"), Some((3, 6)));
        assert_eq!(locate(TEXT, "/é/f"), Some((4, 9)));
        assert_eq!(locate(TEXT, "/g"), Some((4, 18)));
    }

    #[test]
    fn a_pointer_to_nothing_has_no_place() {
        for pointer in ["/x", "/a/9", "/g/h", "/a/b"] {
            assert_eq!(locate(TEXT, pointer), None, "{pointer}");
        }
    }
}
