//! Server-sent events, taken out of the pieces in which they come.

/// What is left of a stream until the rest comes.
#[derive(Default)]
pub(crate) struct Events {
    pending: Vec<u8>,
    current: Event,
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// What the stream can be taken up after.
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Events {
    /// The events that are whole with this piece.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Vec<Event> {
        self.pending.extend_from_slice(piece);
        let mut whole = Vec::new();
        // Lines end with a line feed, and maybe a carriage return before it; servers that send the latter alone are none
        // of ours.
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            whole.extend(self.line(line.trim_end_matches(['\n', '\r'])));
        }
        whole
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.current);
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.current.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.current.name),
            "data" => {
                if !self.current.data.is_empty() {
                    self.current.data.push('\n');
                }
                self.current.data.push_str(value);
            }
            // Comments keep the connection alive.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_any_pieces() {
        let text = ": hello\n\nevent: log\nid: 1.0\ndata: {\"a\":\n: data\r\ndata: 1}\r\n\r\nid:2\n\ndata:last\n\n";
        let wanted = [
            Event {
                id: Some("1.0".to_owned()),
                name: "log".to_owned(),
                data: "{\"a\":\n1}".to_owned(),
            },
            Event { data: "last".to_owned(), ..Event::default() },
        ];
        for size in [1, 2, 3, 7, text.len()] {
            let mut events = Events::default();
            let found: Vec<_> =
                text.as_bytes().chunks(size).flat_map(|piece| events.take(piece)).collect();
            assert_eq!(found, wanted, "in pieces of {size}");
        }
    }
}
