//! Messages: what an execution listens for, what it takes in, and what it leaves.

use super::*;
use crate::message::Message;

fn wait(event: &Value, more: &Value) -> Run {
    let mut config = json!({ "event": event });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let definition = json!({ "name": "w", "steps": [
        { "id": "w", "type": "wait", "config": config, "next": "after" },
        { "id": "after", "type": "transform", "config": { "value": "${steps.w.output.data}" } },
        { "id": "late", "type": "transform", "config": { "value": "${error.code}" } },
    ] });
    Run::of(definition, json!({ "order": "A7" }))
}

fn approval(config: &Value) -> Run {
    let step = json!({ "id": "ok", "type": "approval", "config": config });
    Run::of(json!({ "name": "w", "steps": [step] }), json!({ "boss": "eve" }))
}

fn subscription(run: &Run) -> &Subscription {
    let mut all = run.commands.iter().filter_map(|command| match command {
        Command::Listen(subscription) => Some(&**subscription),
        _ => None,
    });
    all.next().expect("it listens")
}

fn stops(run: &Run) -> bool {
    run.commands.iter().any(|it| matches!(it, Command::StopListening { .. }))
}

impl Run {
    fn message(&self, id: u128, name: &str, data: Value) -> Message {
        Message {
            id: Uuid::from_u128(id),
            name: name.to_owned(),
            data: Arc::new(data),
            received_at: self.now,
            to: None,
        }
    }

    fn hears(&mut self, message: Message) -> Result<&mut Self, Rejection> {
        let event = Event::MessageReceived(Box::new(message));
        let transition = transition(&self.execution, event, self.now)?;
        self.execution.state = transition.state;
        self.commands = transition.commands;
        Ok(self)
    }

    fn decides(&mut self, id: u128, data: Value) -> Result<&mut Self, Rejection> {
        let to = Some(self.execution.id);
        self.hears(Message { to, ..self.message(id, "approval:ok", data) })
    }
}

#[test]
fn the_event_that_matches_is_taken_in_and_the_others_are_left() {
    let mut run =
        wait(&json!({ "name": "paid", "match": "event.data.order == input.order" }), &json!({}));
    run.on(Event::Started);
    assert_eq!(run.status(), ExecutionStatus::Waiting);
    let key = subscription(&run).key.clone().unwrap();
    assert_eq!(Some(key), crate::message::key_of(&json!({ "order": "A7" }), "order"));
    for other in [
        run.message(1, "paid", json!({ "order": "B1" })),
        run.message(2, "paid", json!({})),
        run.message(3, "sent", json!({ "order": "A7" })),
        Message {
            to: Some(Uuid::from_u128(8)),
            ..run.message(4, "paid", json!({ "order": "A7" }))
        },
        Message {
            received_at: run.now - TimeDelta::milliseconds(1),
            ..run.message(5, "paid", json!({ "order": "A7" }))
        },
    ] {
        assert_eq!(run.hears(other).err(), Some(Rejection::NotListening));
    }
    run.hears(run.message(6, "paid", json!({ "order": "A7", "by": "card" }))).unwrap();
    assert!(stops(&run));
    let output = json!({ "order": "A7", "by": "card" });
    assert_eq!(run.finished(), Some((ExecutionStatus::Succeeded, output, None)));
}

#[test]
fn an_event_of_before_counts_as_far_as_the_wait_looks_back() {
    let event = json!({ "name": "paid", "lookbackMs": 1000 });
    for (ago, meant) in [(1_000, true), (1_001, false)] {
        let mut run = wait(&event, &json!({}));
        run.on(Event::Started);
        let received_at = run.now - TimeDelta::milliseconds(ago);
        let message = Message { received_at, ..run.message(1, "paid", json!(1)) };
        assert_eq!(run.hears(message).is_ok(), meant, "{ago}");
    }
}

#[test]
fn a_signal_counts_whenever_it_came() {
    let mut run = wait(&json!({ "name": "paid" }), &json!({}));
    run.on(Event::Started);
    let (received_at, to) = (run.now - TimeDelta::days(9), Some(run.execution.id));
    let message = Message { received_at, to, ..run.message(1, "paid", json!(1)) };
    assert!(run.hears(message).is_ok());
}

#[test]
fn no_event_is_taken_in_twice_by_steps_that_lead_back() {
    let definition = json!({ "name": "w", "steps": [
        { "id": "w", "type": "wait", "config": { "event": { "name": "tick", "lookbackMs": 60000 } }, "next": "w" },
    ] });
    let mut run = Run::of(definition, json!({}));
    run.on(Event::Started);
    let first = run.message(1, "tick", json!({}));
    run.hears(first.clone()).unwrap();
    assert_eq!(run.status(), ExecutionStatus::Waiting);
    assert_eq!(run.hears(first).err(), Some(Rejection::NotListening));
    run.hears(run.message(2, "tick", json!({}))).unwrap();
    assert_eq!(subscription(&run).listening.visit, 3);
}

#[test]
fn nobody_coming_leads_to_on_timeout_or_fails() {
    let mut run =
        wait(&json!({ "name": "paid" }), &json!({ "timeoutMs": 50, "onTimeout": "late" }));
    run.on(Event::Started).after(50).on(Event::TimerDue);
    assert!(stops(&run));
    assert_eq!(run.finished(), Some((ExecutionStatus::Succeeded, json!("TIMEOUT"), None)));
    let mut run = wait(&json!({ "name": "paid" }), &json!({ "timeoutMs": 50 }));
    run.on(Event::Started).after(50).on(Event::TimerDue);
    assert_eq!(run.finished().unwrap().2, Some(ErrorCode::Timeout));
    let mut run = wait(&json!({ "name": "paid" }), &json!({}));
    run.on(Event::Started);
    assert_eq!(run.execution.state.due_at(), Some(run.now + TimeDelta::days(30)));
}

#[test]
fn cancel_stops_listening_and_pause_does_not() {
    let mut run = wait(&json!({ "name": "paid" }), &json!({}));
    run.on(Event::Started).on(Event::PauseRequested { reason: None });
    assert!(!stops(&run));
    let mut heard = Run { execution: run.execution.clone(), now: run.now, commands: Vec::new() };
    heard.hears(heard.message(1, "paid", json!(1))).unwrap();
    assert!(stops(&heard), "what comes meanwhile is taken in");
    run.on(Event::ResumeRequested);
    assert_eq!(run.status(), ExecutionStatus::Waiting);
    run.on(Event::CancelRequested { reason: None });
    assert!(stops(&run));
}

#[test]
fn a_callback_brings_its_data() {
    let step = json!({ "id": "pay", "type": "wait", "config": { "token": {} } });
    let definition = json!({ "name": "w", "steps": [
        { "id": "ask", "type": "log", "config": { "message": "${waitToken('pay')}" }, "next": "pay" }, step] });
    let mut run = Run::of(definition, json!({}));
    run.on(Event::Started);
    let token = run.started().unwrap().config["message"].as_str().unwrap().to_owned();
    let read = CallbackKey::default().read(&token);
    assert_eq!(read, Some((run.execution.id, "pay".to_owned())));
    run.succeed(json!(null));
    let to = Some(run.execution.id);
    run.hears(Message { to, ..run.message(1, "token:pay", json!({ "ok": 1 })) }).unwrap();
    assert_eq!(run.finished(), Some((ExecutionStatus::Succeeded, json!({ "ok": 1 }), None)));
}

#[test]
fn as_many_as_are_asked_for_have_to_approve_and_one_no_is_enough() {
    let config =
        json!({ "approvers": ["ann", "bob", "${input.boss}"], "count": 2, "message": "Pay?" });
    let mut run = approval(&config);
    run.on(Event::Started);
    assert_eq!(
        subscription(&run).listening.asked.as_ref().unwrap().approvers,
        ["ann", "bob", "eve"]
    );
    let mallory = run.decides(1, json!({ "by": "mallory", "approved": true })).err();
    assert_eq!(mallory, Some(Rejection::NotListening));
    run.decides(2, json!({ "by": "ann", "approved": true, "comment": "fine" })).unwrap();
    assert_eq!(run.status(), ExecutionStatus::Waiting);
    assert!(run.commands.iter().any(|it| matches!(it, Command::Consume(_))));
    let again = run.decides(3, json!({ "by": "ann", "approved": true })).err();
    assert_eq!(again, Some(Rejection::NotListening));
    let mut refused = Run { execution: run.execution.clone(), now: run.now, commands: Vec::new() };
    run.decides(4, json!({ "by": "eve", "approved": true })).unwrap();
    let (_, output, _) = run.finished().unwrap();
    assert_eq!(
        (&output["approved"], &output["decisions"][0]["comment"]),
        (&json!(true), &json!("fine"))
    );
    assert_eq!(output["decisions"][1]["by"], "eve");
    refused.decides(5, json!({ "by": "bob", "approved": false })).unwrap();
    assert_eq!(refused.finished().unwrap().1["approved"], json!(false));
}

#[test]
fn an_approval_that_nobody_can_give_fails_at_once() {
    for (config, message) in [
        (json!({ "approvers": ["ann"], "count": 2 }), "2 have to approve, and 1 are asked"),
        (json!({ "approvers": "${input.boss}" }), "`approvers` is a string, not a list of names"),
        (json!({ "approvers": ["ann", ""] }), "a name in `approvers` has 1 to 200 bytes"),
        (json!({ "approvers": ["a\0"] }), "a name in `approvers` has 1 to 200 bytes"),
        (json!({ "approvers": ["ann", 5] }), "`approvers` is a list, not a list of names"),
    ] {
        let mut run = approval(&config);
        run.on(Event::Started);
        let failure = run.commands.iter().find_map(|it| match it {
            Command::FinishExecution { failure, .. } => failure.clone(),
            _ => None,
        });
        assert_eq!(failure.unwrap().message, message);
    }
}

#[test]
fn an_event_is_sent_in_the_same_transition_as_the_step_ends() {
    let step = json!({ "id": "e", "type": "emit", "config": { "event": "order.${input.what}", "data": { "n": "${1 + 1}" } } });
    let mut run = Run::of(json!({ "name": "w", "steps": [step] }), json!({ "what": "paid" }));
    run.on(Event::Started);
    let emitted = run.commands.iter().find_map(|it| match it {
        Command::Emit { id, name, data } => Some((*id, name.clone(), (**data).clone())),
        _ => None,
    });
    let (id, name, data) = emitted.unwrap();
    assert_eq!((name.as_str(), data), ("order.paid", json!({ "n": 2 })));
    assert_eq!(run.finished().unwrap().1["id"], json!(id));
    let mut run = Run::of(run_definition("bad name"), json!({}));
    run.on(Event::Started);
    assert_eq!(run.finished().unwrap().2, Some(ErrorCode::ConfigInvalid));
}

fn run_definition(event: &str) -> Value {
    json!({ "name": "w", "steps": [{ "id": "e", "type": "emit", "config": { "event": event } }] })
}
