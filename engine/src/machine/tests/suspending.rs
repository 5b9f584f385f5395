//! Steps that suspend themselves: what they leave behind comes back to them, whatever happens in between.

use super::*;
use crate::message::Message;
use crate::suspension::{Checkpoint, MAX_NOTE_BYTES, Suspension, Wake};

fn polling() -> Run {
    let definition = json!({ "name": "w", "steps": [
        { "id": "poll", "type": "log", "retryPolicy": { "maxAttempts": 2, "jitter": "none", "delayMs": 10 } },
    ] });
    let mut run = Run::of(definition, json!({}));
    run.on(Event::Started);
    run
}

fn event(timeout_ms: u64) -> Wake {
    let matching = Some("event.data.order == 'A7'".to_owned());
    Wake::Event { name: "paid".to_owned(), matching, timeout_ms }
}

impl Run {
    fn suspend(&mut self, state: &[u8], wake: Wake) -> &mut Self {
        let attempt = self.execution.state.cursor.as_ref().unwrap().attempt;
        let state = Checkpoint(state.to_vec());
        self.on(Event::AttemptSuspended {
            attempt,
            suspension: Box::new(Suspension { state, wake }),
        })
    }

    fn paid(&self, id: u128, order: &str) -> Event {
        Event::MessageReceived(Box::new(Message {
            id: Uuid::from_u128(id),
            name: "paid".to_owned(),
            data: Arc::new(json!({ "order": order })),
            received_at: self.now,
            to: None,
        }))
    }

    /// What the attempt that begins is given.
    fn resumed(&self) -> Option<(u32, &[u8], Option<&Value>)> {
        let start = self.started()?;
        let resumption = start.resumption.as_deref()?;
        let event = resumption.event.as_ref().map(|event| &event["data"]);
        Some((start.attempt, &resumption.state.0, event))
    }
}

#[test]
fn the_next_attempt_begins_at_the_instant_and_is_given_the_state() {
    let mut run = polling();
    assert_eq!(run.started().unwrap().resumption, None);
    let until = run.now + TimeDelta::seconds(60);
    run.suspend(b"page 2", Wake::At(until));
    assert_eq!(run.status(), ExecutionStatus::Waiting);
    assert_eq!(run.records(), [("poll", 1, RecordStatus::Suspended)]);
    assert_eq!(run.execution.state.due_at(), Some(until));
    run.after(60_000).on(Event::TimerDue);
    assert_eq!(run.resumed(), Some((2, &b"page 2"[..], None)));
    run.succeed(json!("all"));
    assert_eq!(run.finished(), Some((ExecutionStatus::Succeeded, json!("all"), None)));
}

#[test]
fn the_event_that_is_meant_wakes_it_and_comes_along() {
    let mut run = polling();
    run.suspend(b"s", event(1_000));
    let listens = run.commands.iter().any(|it| matches!(it, Command::Listen(_)));
    assert!(listens, "{:?}", run.commands);
    let other = transition(&run.execution, run.paid(1, "B8"), run.now);
    assert_eq!(other.unwrap_err(), Rejection::NotListening);
    run.on(run.paid(2, "A7"));
    assert_eq!(run.resumed(), Some((2, &b"s"[..], Some(&json!({ "order": "A7" })))));
    run.suspend(b"t", event(1_000));
    let again = transition(&run.execution, run.paid(2, "A7"), run.now);
    assert_eq!(again.unwrap_err(), Rejection::NotListening, "no event is taken in twice");
}

#[test]
fn an_event_that_does_not_come_wakes_it_with_none() {
    let mut run = polling();
    run.suspend(b"s", event(1_000)).after(1_000).on(Event::TimerDue);
    assert_eq!(run.resumed(), Some((2, &b"s"[..], None)));
    assert!(run.commands.iter().any(|it| matches!(it, Command::StopListening { .. })));
}

#[test]
fn failures_and_lost_workers_do_not_lose_the_state() {
    let mut run = polling();
    run.suspend(b"s", event(1_000));
    run.on(run.paid(2, "A7")).fail(timeout());
    assert_eq!(run.status(), ExecutionStatus::Waiting);
    let order = json!({ "order": "A7" });
    run.after(10).on(Event::TimerDue);
    assert_eq!(run.resumed(), Some((3, &b"s"[..], Some(&order))));
    run.on(Event::LeaseExpired);
    assert_eq!(run.resumed(), Some((4, &b"s"[..], Some(&order))));
}

#[test]
fn a_suspension_is_no_failure_and_forgets_those_before_it() {
    let mut run = polling();
    for _ in 0..5 {
        let now = run.now;
        run.fail(timeout()).after(10).on(Event::TimerDue).suspend(b"s", Wake::At(now));
        run.on(Event::TimerDue);
    }
    assert_eq!(run.started().unwrap().attempt, 11);
    run.fail(timeout()).after(10).on(Event::TimerDue).fail(timeout());
    assert_eq!(run.finished().unwrap().2, Some(ErrorCode::Timeout));
}

#[test]
fn a_paused_execution_goes_on_listening_and_wakes_when_it_is_resumed() {
    let mut run = polling();
    run.on(Event::PauseRequested { reason: None }).suspend(b"s", event(1_000));
    assert_eq!(run.status(), ExecutionStatus::Paused);
    assert!(run.commands.iter().any(|it| matches!(it, Command::Listen(_))));
    run.on(run.paid(2, "A7"));
    assert_eq!((run.status(), run.started().is_none()), (ExecutionStatus::Paused, true));
    run.on(Event::ResumeRequested);
    assert_eq!(run.resumed(), Some((2, &b"s"[..], Some(&json!({ "order": "A7" })))));
}

#[test]
fn a_pause_does_not_shorten_a_timer() {
    let mut run = polling();
    let until = run.now + TimeDelta::seconds(60);
    run.on(Event::PauseRequested { reason: None }).suspend(b"s", Wake::At(until));
    run.after(1_000).on(Event::ResumeRequested);
    assert_eq!(run.execution.state.due_at(), Some(until));
    run.after(59_000).on(Event::TimerDue);
    assert_eq!(run.resumed(), Some((2, &b"s"[..], None)));
}

#[test]
fn a_cancelled_execution_listens_no_more() {
    let mut run = polling();
    run.suspend(b"s", event(1_000)).on(Event::CancelRequested { reason: None });
    assert!(run.commands.iter().any(|it| matches!(it, Command::StopListening { .. })));
    assert_eq!(run.finished().unwrap().0, ExecutionStatus::Cancelled);
}

#[test]
fn the_newest_note_is_kept_and_has_a_most() {
    let mut run = polling();
    let note = "é".repeat(MAX_NOTE_BYTES);
    run.on(Event::ProgressNoted { note: "half".to_owned() }).on(Event::ProgressNoted { note });
    let cursor = run.execution.state.cursor.as_ref().unwrap();
    assert_eq!(cursor.note.as_ref().unwrap().text.len(), MAX_NOTE_BYTES);
    assert!(run.commands.is_empty());
}
