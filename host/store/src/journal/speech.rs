//! What transitions do with messages: wait for them, wait no more, take them in, send them.

use sqlx::PgConnection;
use uuid::Uuid;

use super::KinAct;
use super::columns::text;
use crate::StoreError;

/// Does what the acts say. Returns how many events were sent.
pub(super) async fn apply(
    connection: &mut PgConnection,
    acts: &[(Uuid, &KinAct)],
) -> Result<usize, StoreError> {
    let (mut begin, mut end) = (Subscriptions::default(), Ends::default());
    let mut consumed = Vec::new();
    let mut events = Events::default();
    for (execution_id, act) in acts {
        match act {
            KinAct::Listen { namespace_id, subscription } => {
                begin.push(*execution_id, *namespace_id, subscription);
            }
            KinAct::StopListening { visit, by } => {
                end.execution_id.push(*execution_id);
                end.visit.push(signed(*visit));
                consumed.extend(by);
            }
            KinAct::Consume(id) => consumed.push(*id),
            KinAct::Emit { namespace_id, id, name, data, trace } => {
                events.id.push(*id);
                events.namespace_id.push(*namespace_id);
                events.name.push(name.clone());
                events.data.push(text(&**data));
                events.traceparent.push(trace.to_string());
            }
            _ => {}
        }
    }
    end.apply(connection).await?;
    begin.apply(connection).await?;
    consume(connection, &consumed).await?;
    events.apply(connection).await
}

fn signed(visit: u32) -> i32 {
    i32::try_from(visit).unwrap_or(i32::MAX)
}

/// Executions that begin to listen.
#[derive(Default)]
struct Subscriptions {
    execution_id: Vec<Uuid>,
    visit: Vec<i32>,
    namespace_id: Vec<i32>,
    name: Vec<String>,
    path: Vec<String>,
    value: Vec<String>,
}

impl Subscriptions {
    fn push(&mut self, execution_id: Uuid, namespace_id: i32, it: &engine::machine::Subscription) {
        self.execution_id.push(execution_id);
        self.visit.push(signed(it.listening.visit));
        self.namespace_id.push(namespace_id);
        self.name.push(it.listening.name.clone());
        self.path.push(it.key.as_ref().map_or_else(String::new, |key| key.path.clone()));
        self.value.push(it.key.as_ref().map_or_else(String::new, |key| key.value.clone()));
    }

    async fn apply(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        if self.visit.is_empty() {
            return Ok(());
        }
        sqlx::query_file!(
            "queries/subscribe.sql",
            &self.execution_id,
            &self.visit,
            &self.namespace_id,
            &self.name,
            &self.path,
            &self.value,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Executions that listen no more.
#[derive(Default)]
struct Ends {
    execution_id: Vec<Uuid>,
    visit: Vec<i32>,
}

impl Ends {
    async fn apply(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        if self.visit.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "delete from subscriptions s
             using unnest($1::uuid[], $2::integer[]) as e (execution_id, visit)
             where s.execution_id = e.execution_id and s.visit = e.visit",
            &self.execution_id,
            &self.visit,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Signals are for one execution: none is taken in twice. Events stay, for others.
async fn consume(connection: &mut PgConnection, messages: &[Uuid]) -> Result<(), StoreError> {
    if messages.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update messages set consumed = true where id = any ($1) and execution_id is not null",
        messages,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Events that are sent.
#[derive(Default)]
struct Events {
    id: Vec<Uuid>,
    namespace_id: Vec<i32>,
    name: Vec<String>,
    data: Vec<String>,
    traceparent: Vec<String>,
}

impl Events {
    async fn apply(&self, connection: &mut PgConnection) -> Result<usize, StoreError> {
        if self.id.is_empty() {
            return Ok(0);
        }
        sqlx::query!(
            "insert into messages (id, namespace_id, name, data, traceparent, delivered)
             select id, namespace_id, name, data::json, traceparent, false
             from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[])
                  as e (id, namespace_id, name, data, traceparent)
             on conflict do nothing",
            &self.id,
            &self.namespace_id,
            &self.name,
            &self.data,
            &self.traceparent,
        )
        .execute(connection)
        .await?;
        Ok(self.id.len())
    }
}
