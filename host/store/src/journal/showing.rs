//! The logs of attempts under way: shown while they take long, gone when they have ended.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::KinAct;
use super::columns::text;
use crate::StoreError;

/// Does what the acts say; of one execution, the last.
pub(super) async fn apply(
    connection: &mut PgConnection,
    acts: &[(Uuid, &KinAct)],
) -> Result<(), StoreError> {
    let mut last = BTreeMap::new();
    for (execution_id, act) in acts {
        if matches!(act, KinAct::ShowLog { .. } | KinAct::HideLog) {
            last.insert(*execution_id, *act);
        }
    }
    let (mut shown, mut hidden) = (Shown::default(), Vec::new());
    for (execution_id, act) in last {
        match act {
            KinAct::ShowLog { sequence, step_id, attempt, lines } => {
                shown.execution_id.push(execution_id);
                shown.sequence.push(i32::try_from(*sequence).unwrap_or(i32::MAX));
                shown.step_id.push(step_id.clone());
                shown.attempt.push(i32::try_from(*attempt).unwrap_or(i32::MAX));
                shown.logs.push(text(lines));
            }
            _ => hidden.push(execution_id),
        }
    }
    shown.apply(connection).await?;
    if !hidden.is_empty() {
        sqlx::query!("delete from live_logs where execution_id = any ($1)", &hidden)
            .execute(connection)
            .await?;
    }
    Ok(())
}

#[derive(Default)]
struct Shown {
    execution_id: Vec<Uuid>,
    sequence: Vec<i32>,
    step_id: Vec<String>,
    attempt: Vec<i32>,
    logs: Vec<String>,
}

impl Shown {
    async fn apply(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        if self.execution_id.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "insert into live_logs (execution_id, sequence, step_id, attempt, logs)
             select execution_id, sequence, step_id, attempt, logs::json
             from unnest($1::uuid[], $2::integer[], $3::text[], $4::integer[], $5::text[])
                  as shown (execution_id, sequence, step_id, attempt, logs)
             on conflict (execution_id) do update
             set sequence = excluded.sequence, step_id = excluded.step_id, attempt = excluded.attempt,
                 logs = excluded.logs, shown_at = now()",
            &self.execution_id,
            &self.sequence,
            &self.step_id,
            &self.attempt,
            &self.logs,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}
