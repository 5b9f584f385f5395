//! Steps that suspend themselves in the middle of their work: an attempt ends with something left behind, and another one goes on with it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Rejection;
use super::command::{Command, RecordStatus};
use super::listening::{Listening, Subscription};
use super::state::{Awaited, Cursor, StepStatus, after};
use super::turn::{Flow, Turn};
use crate::suspension::{MAX_NOTE_BYTES, Note, Resumption, Suspension, Wake, parse_match};

impl Turn<'_> {
    /// The attempt counts and is recorded; what failed before it is forgotten, since the step has come further.
    pub(super) fn suspend(
        &mut self,
        attempt: u32,
        suspension: Suspension,
    ) -> Result<Flow, Rejection> {
        let cursor = self.attempt_under_way(attempt)?;
        self.record(&cursor, RecordStatus::Suspended, None, None);
        self.set_step(&cursor.step, StepStatus::Waiting, None, None);
        let resumption = Resumption { state: suspension.state, event: None };
        let cursor = Cursor {
            attempt: cursor.attempt + 1,
            failed: 0,
            lost: 0,
            resumption: Some(Arc::new(resumption)),
            ..cursor
        };
        Ok(match suspension.wake {
            Wake::After(ms) => self.rest_until(cursor, after(self.now, ms)),
            Wake::At(until) => self.rest_until(cursor, until),
            Wake::Event { name, matching, timeout_ms } => {
                let until = after(self.now, timeout_ms);
                self.listen_suspended(cursor, name, matching, until)
            }
        })
    }

    fn rest_until(&mut self, cursor: Cursor, until: DateTime<Utc>) -> Flow {
        let visited_at = until.max(self.now);
        self.wait_until(Cursor { visited_at, ..cursor }, until)
    }

    fn listen_suspended(
        &mut self,
        cursor: Cursor,
        name: String,
        matching: Option<String>,
        until: DateTime<Utc>,
    ) -> Flow {
        self.state.visits += 1;
        let scope = self.scope(&cursor.step);
        let parsed = matching.as_deref().and_then(|it| parse_match(it).ok());
        let key = parsed.and_then(|it| it.key(&scope));
        // What came while the attempt was at work is meant too: it may be the answer to what the attempt has sent.
        let since = cursor.started_at;
        let listening = Listening { visit: self.state.visits, name, since, asked: None, matching };
        let awaited = Some(Awaited::Message(Box::new(listening.clone())));
        self.commands.push(Command::Listen(Box::new(Subscription { listening, key })));
        self.await_others(Cursor { until: Some(until), awaited, ..cursor })
    }

    /// Goes on, with the event that was waited for if there was one and it has come.
    pub(super) fn wake(&mut self, cursor: Cursor, event: Option<Value>) -> Flow {
        let left = cursor.resumption.as_deref().cloned().unwrap_or_default();
        let resumption = Some(Arc::new(Resumption { event, ..left }));
        self.start(Cursor { visited_at: self.now, resumption, ..cursor })
    }

    /// Nobody has come in time: the step hears that from its having no event.
    pub(super) fn give_up_suspension(&mut self, cursor: Cursor) -> Flow {
        self.stop_listening(&cursor);
        self.wake(cursor, None)
    }

    pub(super) fn note(&mut self, mut text: String) -> Flow {
        text.truncate(text.floor_char_boundary(MAX_NOTE_BYTES));
        if let Some(cursor) = &mut self.state.cursor {
            cursor.note = Some(Note { text, at: self.now });
        }
        Flow::Settled
    }
}
