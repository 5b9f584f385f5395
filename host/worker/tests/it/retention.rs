//! What goes, what stays, and who is not disturbed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use stateflow_worker::Deleted;
use store::DEFAULT_NAMESPACE;
use store::retention::{Detached, Kind, Retention};
use store::workflows::NewVersion;

use crate::history::History;

fn defaults() -> Retention {
    Retention::default()
}

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_week_that_is_over_is_dropped_and_the_others_stay() {
    let history = History::new().await;
    for ago in [1, 3, 8] {
        history.week(ago).await;
        history.ended(ago, "succeeded", 10).await;
    }
    let deleted = history.round(defaults()).await;
    // One of executions and one of messages; a month is not over for the week three weeks ago.
    assert_eq!(deleted, Deleted { weeks: 2, ..Deleted::default() });
    assert_eq!(history.count("executions").await, 20);
    assert_eq!(history.count("attempts").await, 20);
    assert_eq!(history.old_tables().await, 8);
    assert_eq!(history.round(defaults()).await, Deleted::default());
}

#[tokio::test]
async fn in_a_week_of_which_a_part_stays_the_other_part_goes() {
    let history = History::new().await;
    history.week(8).await;
    history.ended(8, "succeeded", 1_200).await;
    history.ended(8, "failed", 7).await;
    let deleted = history.round(defaults()).await;
    assert_eq!((deleted.weeks, deleted.rows), (1, 1_200));
    assert_eq!(history.number("select count(*) from executions where status = 'failed'").await, 7);
    assert_eq!(history.count("executions").await, 7);
    assert_eq!(history.count("attempts").await, 7);
    // When those are over as well, the table goes.
    let deleted = history.round(Retention { failed: Some(DAY * 30), ..defaults() }).await;
    assert_eq!((deleted.weeks, deleted.rows), (1, 0));
    assert_eq!(history.count("executions").await, 0);
    assert_eq!(history.old_tables().await, 0);
}

#[tokio::test]
async fn nothing_goes_that_has_not_ended_or_was_told_something() {
    for stays in [
        "update executions set status = 'running', finished_at = null where id = (select min(id::text)::uuid from executions)",
        "update executions set status = 'paused', finished_at = null where id = (select min(id::text)::uuid from executions)",
        "insert into queue (execution_id, namespace_id, due_at) select min(id::text)::uuid, 1, now() from executions",
        "update executions set dead_letter = true where id = (select min(id::text)::uuid from executions)",
        "update executions set finished_at = now() where id = (select min(id::text)::uuid from executions)",
    ] {
        let history = History::new().await;
        history.week(20).await;
        history.ended(20, "failed", 3).await;
        history.sql(stays).await;
        let deleted = history.round(defaults()).await;
        assert_eq!((deleted.weeks, deleted.rows), (1, 2), "{stays}");
        assert_eq!(history.count("executions").await, 1, "{stays}");
    }
}

#[tokio::test]
async fn dead_letters_go_when_somebody_has_looked_or_the_setting_says_so() {
    let history = History::new().await;
    history.week(20).await;
    history.ended(20, "failed", 3).await;
    history.sql("update executions set dead_letter = true").await;
    assert_eq!(history.round(defaults()).await.rows, 0);
    let patient = Retention { dead_letters: Some(DAY * 365), ..defaults() };
    assert_eq!(history.round(patient).await.rows, 0);
    let deleted = history.round(Retention { dead_letters: Some(DAY * 100), ..defaults() }).await;
    assert_eq!(deleted.weeks, 1);
    assert_eq!(history.count("executions").await, 0);
}

#[tokio::test]
async fn a_workflow_says_for_itself_and_its_newest_version_counts() {
    let history = History::of(&json!({ "succeededDays": 3 })).await;
    history.week(1).await;
    history.ended(1, "succeeded", 2).await;
    history.ended(1, "cancelled", 1).await;
    // The week has begun seven to fourteen days ago, and they ended a day after that.
    let deleted = history.round(defaults()).await;
    assert_eq!(deleted.rows, 2);
    history.ended(1, "succeeded", 2).await;
    let new = NewVersion {
        events: Vec::new(),
        namespace_id: DEFAULT_NAMESPACE,
        name: "w".to_owned(),
        definition: json!({ "name": "w", "retention": { "succeededDays": 400 }, "steps": [{ "id": "t", "type": "log" }] }),
        plugin_lock: BTreeMap::new(),
    };
    history.store.publish_version(history.workflow_id, &new, None).await.unwrap();
    assert_eq!(history.round(Retention { succeeded: Some(DAY), ..defaults() }).await.rows, 0);
    assert_eq!(history.count("executions").await, 3);
}

#[tokio::test]
async fn what_an_execution_has_begun_goes_after_it() {
    let history = History::new().await;
    history.week(8).await;
    history.week(7).await;
    history.ended(8, "failed", 1).await;
    history.ended(7, "succeeded", 2).await;
    // One runs a block of the failed one, in the week after; one is called by it.
    history
        .sql(
            "update executions e set parent_id = p.id, visit = 1, ordinal = 0,
                    block = case when e.id::text like '%1' then 'b' end
             from executions p where p.status = 'failed' and e.status = 'succeeded'",
        )
        .await;
    assert_eq!(history.round(defaults()).await.rows, 0);
    assert_eq!(history.count("executions").await, 3);
    let deleted = history.round(Retention { failed: Some(DAY * 30), ..defaults() }).await;
    assert_eq!((deleted.weeks, history.count("executions").await), (2, 0));
}

#[tokio::test]
async fn executions_of_no_week_go_too() {
    let history = History::new().await;
    history.ended(20, "succeeded", 5).await;
    assert_eq!(history.count("executions_default").await, 5);
    assert_eq!(history.round(defaults()).await.rows, 5);
    assert_eq!(history.count("executions_default").await, 0);
    assert_eq!(history.count("attempts_default").await, 0);
}

#[tokio::test]
async fn forever_is_forever() {
    let history = History::new().await;
    history.week(300).await;
    history.ended(300, "succeeded", 5).await;
    let forever = Retention {
        succeeded: None,
        failed: None,
        cancelled: None,
        events: None,
        keys: None,
        audit: None,
        bulk_actions: None,
        blobs: None,
        dead_letters: None,
    };
    history.sql("insert into audit (id, namespace_id, actor, action, subject) values (uuid_at(now() - interval '3 years'), 1, 'a', 'b', 'c')").await;
    assert_eq!(history.round(forever).await, Deleted::default());
    assert_eq!(history.round(defaults()).await.leftovers, 1);
}

#[tokio::test]
async fn nobody_waits_behind_a_week_that_a_long_transaction_reads() {
    let history = History::new().await;
    history.week(8).await;
    history.ended(8, "succeeded", 5).await;
    let looked_at = chrono::Utc::now();
    let mut reading = history.side.begin().await.unwrap();
    let read = "select count(*) from executions";
    assert_eq!(sqlx::query_scalar::<_, i64>(read).fetch_one(&mut *reading).await.unwrap(), 5);
    let weeks = history.store.old_weeks(Kind::Executions, &defaults()).await.unwrap();
    // It gives up while the other one is still there.
    let outcome = history.store.detach_week(&weeks[0], looked_at).await.unwrap();
    assert_eq!(outcome, Detached::Busy);
    reading.rollback().await.unwrap();
    let outcome = history.store.detach_week(&weeks[0], looked_at).await.unwrap();
    assert_eq!(outcome, Detached::Done);
    // Its process ends here. The next round drops what it has left.
    assert_eq!(history.old_tables().await, 4);
    history.round(defaults()).await;
    assert_eq!(history.old_tables().await, 0);
}

#[tokio::test]
async fn what_was_run_again_before_its_week_was_off_comes_back() {
    let history = History::new().await;
    history.week(8).await;
    history.ended(8, "failed", 3).await;
    let retention = Retention { failed: Some(DAY * 30), ..defaults() };
    let week = history.store.old_weeks(Kind::Executions, &retention).await.unwrap()[0];
    let looked_at = history.store.week_is_over(&week, &retention).await.unwrap().unwrap();
    history
        .sql("update executions set finished_at = now() where id = (select min(id::text)::uuid from executions)")
        .await;
    let outcome = history.store.detach_week(&week, looked_at).await.unwrap();
    assert_eq!((outcome, history.count("executions").await), (Detached::Done, 0));
    assert_eq!(history.store.drop_detached().await.unwrap(), 1);
    assert_eq!(history.count("executions_default").await, 1);
    assert_eq!(history.count("attempts").await, 1);
    history.round(retention).await;
    assert_eq!(history.count("executions").await, 1, "it ended just now");
}

#[tokio::test]
async fn nobody_waits_for_the_look_at_a_week() {
    let history = History::new().await;
    history.week(8).await;
    history.ended(8, "succeeded", 3).await;
    history.ended(0, "failed", 1).await;
    // An update of an execution of this week locks the partitions of all weeks.
    let mut writing = history.side.begin().await.unwrap();
    let touch = "update executions set labels = '{}' where status = 'failed'";
    sqlx::raw_sql(touch).execute(&mut *writing).await.unwrap();
    let week = history.store.old_weeks(Kind::Executions, &defaults()).await.unwrap()[0];
    assert!(history.store.week_is_over(&week, &defaults()).await.unwrap().is_some());
    writing.rollback().await.unwrap();
}

#[tokio::test]
async fn one_process_deletes_at_a_time() {
    let history = History::new().await;
    let turn = history.store.retention_turn().await.unwrap().unwrap();
    assert_eq!(history.retiring(defaults(), None).round(true).await, None);
    drop(turn);
    // The connection ends behind our back.
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while history.retiring(defaults(), None).round(true).await.is_none() {
        assert!(std::time::Instant::now() < until, "the turn is never free");
    }
}

#[tokio::test]
async fn keys_facts_places_and_actions_are_bounded() {
    let history = History::new().await;
    let workflow = history.workflow_id;
    let old = "now() - interval '100 days'";
    history
        .sql(&format!(
            "insert into idempotency_keys select 1, 'k' || n, '{workflow}', gen_random_uuid(),
                 case when n <= 1500 then {old} else now() end from generate_series(1, 1600) n;
             insert into message_keys select 1, 'k' || n, gen_random_uuid(), case when n = 1 then {old} else now() end
                 from generate_series(1, 3) n;
             insert into bulk_actions (id, namespace_id, fact, request, status, matched, finished_at)
                 values (gen_random_uuid(), 1, '{{}}', '{{}}', 'done', 1, {old}), (gen_random_uuid(), 1, '{{}}', '{{}}', 'running', 1, null);
             insert into bulk_items select id, 1, gen_random_uuid() from bulk_actions;
             insert into inbox (namespace_id, execution_id, fact, created_at) values (1, gen_random_uuid(), '{{}}', {old});
             insert into queue (execution_id, namespace_id, due_at) values (gen_random_uuid(), 1, {old});
             insert into late_results (namespace_id, execution_id, step_id, attempt, status, worker_id, lease_epoch, recorded_at)
                 values (1, gen_random_uuid(), 's', 1, 'failed', gen_random_uuid(), 1, {old})"
        ))
        .await;
    let deleted = history.round(defaults()).await;
    // 1,500 keys of starts, one of an event, one action, a fact, a place and a late result.
    assert_eq!(deleted.leftovers, 1_505);
    for (table, left) in [
        ("idempotency_keys", 100),
        ("message_keys", 2),
        ("bulk_actions", 1),
        ("bulk_items", 1),
        ("inbox", 0),
        ("queue", 0),
        ("late_results", 0),
    ] {
        assert_eq!(history.count(table).await, left, "{table}");
    }
}

#[tokio::test]
async fn messages_go_when_they_are_delivered_and_nobody_is_left_to_take_them() {
    let history = History::new().await;
    history.week(8).await;
    let week = "uuid_at(date_trunc('week', now()) - interval '8 weeks' + interval '1 day' * n)";
    let insert = format!(
        "insert into messages (id, namespace_id, name, data, delivered, received_at, execution_id)
         select {week}, 1, 'e', '{{}}', n <> 1, now() - interval '50 days',
                case when n = 2 then '00000000-0000-7000-8000-000000000001'::uuid end
         from generate_series(1, 3) n;
         insert into queue (execution_id, namespace_id, due_at) values ('00000000-0000-7000-8000-000000000001', 1, now())"
    );
    history.sql(&insert).await;
    let deleted = history.round(defaults()).await;
    assert_eq!((deleted.rows, history.count("messages").await), (1, 2));
    history.sql("update messages set delivered = true; delete from queue").await;
    assert_eq!(history.round(defaults()).await.weeks, 1);
    assert_eq!(history.old_tables().await, 0);
}

#[tokio::test]
async fn blobs_stay_while_history_refers_to_them_and_go_later() {
    let history = History::new().await;
    let mut references = Vec::new();
    for text in ["input", "output", "log", "event", "definition", "nowhere"] {
        let mut writer = history.store.write_blob(DEFAULT_NAMESPACE, 1 << 20);
        writer.write(text.as_bytes()).await.unwrap();
        references.push(writer.finish().await.unwrap().reference.to_string());
    }
    history.ended(0, "succeeded", 1).await;
    let json = |at: usize| format!("'{{\"a\": [\"{}\"]}}'", references[at]);
    history
        .sql(&format!(
            "update executions set input = {}, output = {};
             update attempts set logs = {};
             insert into messages (id, namespace_id, name, data, delivered) values (uuid_at(now()), 1, 'e', {}, true);
             update workflow_versions set definition = {};
             update blobs set created_at = now() - interval '8 days'",
            json(0),
            json(1),
            json(2),
            json(3),
            json(4),
        ))
        .await;
    // The first look only notes it.
    assert_eq!(history.round(defaults()).await.blobs, 0);
    let noted = "select count(*) from blobs where unreferenced_since is not null";
    assert_eq!(history.number(noted).await, 1);
    let later = "update blobs set unreferenced_since = unreferenced_since - interval '8 days'";
    // Who sends the same bytes again wants them.
    history.sql(later).await;
    let mut writer = history.store.write_blob(DEFAULT_NAMESPACE, 1 << 20);
    writer.write(b"nowhere").await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!((history.round(defaults()).await.blobs, history.number(noted).await), (0, 0));

    history.sql("update blobs set created_at = now() - interval '8 days'").await;
    history.round(defaults()).await;
    history.sql(later).await;
    assert_eq!(history.round(defaults()).await.blobs, 1);
    assert_eq!(history.count("blobs").await, 5);
    let bytes = "select blob_bytes from namespaces where id = 1";
    assert_eq!(history.number(bytes).await, 5 + 6 + 3 + 5 + 10);
}
