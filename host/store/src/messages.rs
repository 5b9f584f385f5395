//! Messages: events for everybody who waits for them, and signals to one execution.
//!
//! ```text
//!   API, emit ──▶ stored ──▶ delivered: a fact for each who waits, an execution for each trigger
//!   wait ──▶ subscription, durable ──▶ looks back for what has come before
//! ```
//!
//! A message is stored before it is delivered, and a wait can be found before it looks back. So of the two, whichever is
//! later sees the other.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use engine::callback::CallbackKey;
use engine::machine::{Fact, State};
use engine::message::{Key, Message, key_of};
use engine::trace::TraceParent;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::leases::parse;
use crate::letters::{Letters, Stirred};
use crate::starts::NewExecution;
use crate::wakeups::Wakeups;
use crate::{Store, StoreError};

/// Events that are looked at in one go, when a wait looks back.
const LOOK_BACK_PAGE: i64 = 100;
/// Signals of one name that a wait looks at when it looks back.
const LOOK_BACK_SIGNALS: i64 = 100;

/// An event to store.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// A fresh `UUIDv7`.
    pub id: Uuid,
    /// Whose it is.
    pub namespace_id: i32,
    /// Its name.
    pub name: String,
    /// What it says, as JSON text.
    pub data: Arc<str>,
    /// The same key again is the same event.
    pub key: Option<String>,
    /// The sender's span.
    pub trace: Option<TraceParent>,
}

/// A signal to send.
#[derive(Clone, Debug)]
pub struct NewSignal {
    /// A fresh `UUIDv7`.
    pub id: Uuid,
    /// Whose it is.
    pub namespace_id: i32,
    /// The execution that it is for.
    pub execution_id: Uuid,
    /// Its name.
    pub name: String,
    /// What it says.
    pub data: Value,
    /// The same key again is the same signal.
    pub key: Option<String>,
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way.
    Fresh,
    /// It was sent before.
    Again,
    /// The execution has ended, or there is none.
    Nobody,
}

/// A message that has not been delivered.
#[derive(Clone, Debug)]
pub struct Undelivered {
    /// Whose it is.
    pub namespace_id: i32,
    /// The message.
    pub message: Message,
    /// The sender's span.
    pub trace: Option<TraceParent>,
}

/// An execution that asks people something.
#[derive(Clone, Debug)]
pub struct PendingApproval {
    /// The execution.
    pub execution_id: Uuid,
    /// The workflow's name.
    pub workflow: String,
    /// Its state: the cursor has the question.
    pub state: State,
}

/// Where a look back goes on.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    /// Nothing that came before this instant.
    pub instant: DateTime<Utc>,
    /// Nothing up to this message.
    pub after: (DateTime<Utc>, Uuid),
}

impl Since {
    /// From an instant on.
    pub fn instant(instant: DateTime<Utc>) -> Self {
        Self { instant, after: (instant, Uuid::nil()) }
    }
}

impl Store {
    /// Stores events; says of each whether it is new.
    pub async fn post_events(&self, new: &[&NewEvent]) -> Result<Vec<bool>, StoreError> {
        let rows = sqlx::query_file!(
            "queries/post_messages.sql",
            &new.iter().map(|it| it.id).collect::<Vec<_>>(),
            &new.iter().map(|it| it.namespace_id).collect::<Vec<_>>(),
            &new.iter().map(|it| it.name.as_str()).collect::<Vec<_>>() as &[&str],
            &new.iter().map(|it| &*it.data).collect::<Vec<_>>() as &[&str],
            &new.iter().map(|it| it.key.clone()).collect::<Vec<_>>() as &[Option<String>],
            &new.iter().map(|it| it.trace.map(String::from)).collect::<Vec<_>>()
                as &[Option<String>],
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| row.fresh).collect())
    }

    /// The id that an event was stored under, by the key that its sender gave it.
    pub async fn message_by_key(
        &self,
        namespace_id: i32,
        key: &str,
    ) -> Result<Option<Uuid>, StoreError> {
        Ok(sqlx::query_scalar!(
            "select message_id from message_keys where namespace_id = $1 and key = $2",
            namespace_id,
            key,
        )
        .fetch_optional(&self.pool)
        .await?)
    }

    /// Sends a signal, and tells whoever holds the execution.
    pub async fn signal(&self, new: &NewSignal, wakeups: &Wakeups) -> Result<Sent, StoreError> {
        let fact = Fact::Message { id: new.id };
        let fact = serde_json::to_string(&fact).expect("facts always print as JSON");
        let row = sqlx::query_file!(
            "queries/post_signal.sql",
            new.id,
            new.namespace_id,
            new.execution_id,
            new.name,
            new.data.to_string() as _,
            new.key,
            fact as _,
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(Sent::Nobody) };
        match (row.fresh, row.held) {
            (true, true) => wakeups.signalled(new.execution_id),
            (true, false) => wakeups.work(1),
            (false, _) => return Ok(Sent::Again),
        }
        Ok(Sent::Fresh)
    }

    /// A message that has been stored.
    pub async fn message(&self, id: Uuid) -> Result<Message, StoreError> {
        let row = sqlx::query!(
            r#"select name, data::text as "data!", execution_id, received_at from messages where id = $1"#,
            id,
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| StoreError::not_found("message", id))?;
        let data: Value = parse("message", &row.data)?;
        let (data, received_at) = (Arc::new(data), row.received_at);
        Ok(Message { id, name: row.name, data, received_at, to: row.execution_id })
    }

    /// Signals of a name to an execution that no step has taken in yet, oldest first.
    pub async fn signals(
        &self,
        execution_id: Uuid,
        name: &str,
    ) -> Result<Vec<Message>, StoreError> {
        let rows = sqlx::query!(
            r#"select id, data::text as "data!", received_at
               from messages
               where execution_id = $1 and name = $2 and not consumed
               order by id
               limit $3"#,
            execution_id,
            name,
            LOOK_BACK_SIGNALS,
        )
        .fetch_all(&self.pool)
        .await?;
        let signals = rows.into_iter().map(|row| {
            let data: Value = parse("message", &row.data)?;
            let (name, received_at) = (name.to_owned(), row.received_at);
            let to = Some(execution_id);
            Ok(Message { id: row.id, name, data: Arc::new(data), received_at, to })
        });
        signals.collect()
    }

    /// A page of the events of a name, oldest first.
    pub async fn events_since(
        &self,
        namespace_id: i32,
        name: &str,
        since: Since,
    ) -> Result<Vec<Message>, StoreError> {
        let rows = sqlx::query_file!(
            "queries/look_back_events.sql",
            namespace_id,
            name,
            since.instant,
            since.after.0,
            since.after.1,
            LOOK_BACK_PAGE,
        )
        .fetch_all(&self.pool)
        .await?;
        let events = rows.into_iter().map(|row| {
            let data: Value = parse("message", &row.data)?;
            let (name, received_at) = (name.to_owned(), row.received_at);
            Ok(Message { id: row.id, name, data: Arc::new(data), received_at, to: None })
        });
        events.collect()
    }

    /// Messages that have not been delivered, oldest first.
    pub async fn undelivered(&self, limit: i64) -> Result<Vec<Undelivered>, StoreError> {
        let rows = sqlx::query!(
            r#"select id, namespace_id, name, data::text as "data!", received_at, traceparent
               from messages where not delivered order by id limit $1"#,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let undelivered = rows.into_iter().map(|row| {
            let data: Value = parse("message", &row.data)?;
            let (data, received_at) = (Arc::new(data), row.received_at);
            let message = Message { id: row.id, name: row.name, data, received_at, to: None };
            let trace = row.traceparent.and_then(|it| it.parse().ok());
            Ok(Undelivered { namespace_id: row.namespace_id, message, trace })
        });
        undelivered.collect()
    }

    /// The workflows that events of a name may start, and their newest versions.
    pub async fn triggered(
        &self,
        namespace_id: i32,
        name: &str,
    ) -> Result<Vec<(Uuid, i32)>, StoreError> {
        let rows = sqlx::query!(
            "select workflow_id, version from triggers where namespace_id = $1 and name = $2",
            namespace_id,
            name,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.workflow_id, row.version)).collect())
    }

    /// Delivers messages, each once: tells those who may wait for it, and starts what it starts, in one transaction. What
    /// somebody else delivers at the same time is left to them. Returns how many it has delivered.
    pub async fn deliver(
        &self,
        messages: &[Undelivered],
        starts: &HashMap<Uuid, Vec<NewExecution>>,
        wakeups: &Wakeups,
    ) -> Result<usize, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let taken = sqlx::query_scalar!(
            "select id from messages where id = any ($1) and not delivered
             order by id for update skip locked",
            &messages.iter().map(|it| it.message.id).collect::<Vec<_>>(),
        )
        .fetch_all(&mut *transaction)
        .await?;
        let ours: Vec<_> = messages.iter().filter(|it| taken.contains(&it.message.id)).collect();
        let mut letters = Letters::default();
        for (execution_id, id) in waiting_for(&mut transaction, &ours).await? {
            letters.add(execution_id, &Fact::Message { id });
        }
        let mut stirred = Stirred::default();
        stirred.post(&mut transaction, letters).await?;
        let starts: Vec<_> =
            taken.iter().filter_map(|id| starts.get(id)).flatten().cloned().collect();
        if !starts.is_empty() {
            stirred.due += Self::insert_executions(&mut *transaction, &starts, false).await?.len();
        }
        sqlx::query!("update messages set delivered = true where id = any ($1)", &taken)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        stirred.tell(wakeups);
        Ok(taken.len())
    }

    /// What people are asked and have not answered yet, the oldest executions first; of one person, if a name is given.
    pub async fn approvals(
        &self,
        namespace_id: i32,
        approver: Option<&str>,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<PendingApproval>, StoreError> {
        let rows = sqlx::query_file!(
            "queries/list_approvals.sql",
            namespace_id,
            approver,
            after.unwrap_or_default(),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let pending = rows.into_iter().map(|row| {
            let state = parse("state", &row.state)?;
            Ok(PendingApproval { execution_id: row.execution_id, workflow: row.workflow, state })
        });
        pending.collect()
    }

    /// The key that wait tokens are made with.
    pub async fn callback_key(&self) -> Result<CallbackKey, StoreError> {
        let bytes = sqlx::query_scalar!("select callback_key from installation")
            .fetch_one(&self.pool)
            .await?;
        let key = <[u8; 32]>::try_from(bytes.as_slice());
        key.map(CallbackKey::new)
            .map_err(|_| StoreError::Settings("the callback key has not 32 bytes".to_owned()))
    }
}

/// Who may wait for these messages.
async fn waiting_for(
    connection: &mut PgConnection,
    messages: &[&Undelivered],
) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    let mut by_name: BTreeMap<(i32, &str), Vec<&Message>> = BTreeMap::new();
    for it in messages {
        by_name.entry((it.namespace_id, &it.message.name)).or_default().push(&it.message);
    }
    let mut waiting = Vec::new();
    for ((namespace_id, name), messages) in by_name {
        let paths = sqlx::query_file_scalar!("queries/subscription_paths.sql", namespace_id, name)
            .fetch_all(&mut *connection)
            .await?;
        let keys: Vec<_> = messages
            .iter()
            .flat_map(|message| paths.iter().filter_map(|path| key_at(message, path)))
            .collect();
        waiting.extend(subscribers(connection, namespace_id, name, &keys).await?);
    }
    Ok(waiting)
}

async fn subscribers(
    connection: &mut PgConnection,
    namespace_id: i32,
    name: &str,
    keys: &[(Uuid, Key)],
) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    let rows = sqlx::query!(
        r#"select s.execution_id, k.message_id as "message_id!"
           from unnest($3::uuid[], $4::text[], $5::text[]) as k (message_id, path, value)
           join subscriptions s
             on s.namespace_id = $1 and s.name = $2 and s.path = k.path and s.value = k.value"#,
        namespace_id,
        name,
        &keys.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        &keys.iter().map(|(_, key)| key.path.as_str()).collect::<Vec<_>>() as &[&str],
        &keys.iter().map(|(_, key)| key.value.as_str()).collect::<Vec<_>>() as &[&str],
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.execution_id, row.message_id)).collect())
}

/// What a message is found by at a place; at no place in particular, everybody is who waits for the name.
fn key_at(message: &Message, path: &str) -> Option<(Uuid, Key)> {
    if path.is_empty() {
        return Some((message.id, Key { path: String::new(), value: String::new() }));
    }
    Some((message.id, key_of(&message.data, path)?))
}
