//! What comes to an execution from outside: facts in its inbox, messages that it listens for.

use engine::machine::{self, Cursor, Event};
use engine::message::{Message, is_event_name};
use store::messages::Since;

use super::{Drive, Next};

impl Drive {
    /// The first fact in the inbox that applies, if there is anything new. Facts that do not are taken in with
    /// the next write all the same.
    pub(super) async fn read_inbox(&mut self) -> anyhow::Result<Option<Event>> {
        if self.posted <= self.seen {
            return Ok(None);
        }
        let (mut facts, posted) = self.shared.store.read_inbox(self.execution.id).await?;
        facts.retain(|it| !self.consumed.contains(&it.id));
        let mut left = i32::try_from(facts.len()).unwrap_or(i32::MAX);
        let mut applying = None;
        for it in facts {
            self.consumed.push(it.id);
            left -= 1;
            let event = Box::pin(self.shared.kin.event(it.fact, &self.execution)).await?;
            if let Some(event) = event.filter(|event| self.applies(event)) {
                applying = Some(event);
                break;
            }
        }
        // What comes after the one that applies is read again, against the state that it leads to.
        self.posted = posted;
        self.seen = posted - left;
        Ok(applying)
    }

    fn applies(&self, event: &Event) -> bool {
        machine::transition(&self.execution, event.clone(), self.shared.clock.now()).is_ok()
    }

    /// Looks for what has come before anybody could know that it is waited for; gives the lease back if nothing has.
    pub(super) async fn look_back(&mut self) -> anyhow::Result<Next> {
        let cursor = self.execution.state.cursor.as_ref();
        if let Some(listening) = cursor.and_then(Cursor::listening).cloned() {
            let (id, name) = (self.execution.id, listening.name.as_str());
            let signals = self.shared.store.signals(id, name).await?;
            if let Some(event) = self.first_meant(signals) {
                return Ok(Next::Event(event, Vec::new()));
            }
            let mut since = Since::instant(listening.since);
            while is_event_name(name) {
                let namespace_id = self.origin.namespace_id;
                let page = self.shared.store.events_since(namespace_id, name, since).await?;
                let Some(last) = page.last() else { break };
                since.after = (last.received_at, last.id);
                if let Some(event) = self.first_meant(page) {
                    return Ok(Next::Event(event, Vec::new()));
                }
            }
        }
        self.leave_as_is().await?;
        Ok(Next::Leave)
    }

    fn first_meant(&self, messages: Vec<Message>) -> Option<Event> {
        let mut events = messages.into_iter().map(|it| Event::MessageReceived(Box::new(it)));
        events.find(|event| self.applies(event))
    }
}
