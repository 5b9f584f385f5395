//! Actions on many executions at once: by ids or by filter, all at once or bit by bit.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use chrono::{DateTime, Utc};
use engine::fork::ForkOrder;
use engine::machine::Fact;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::bulk::{BulkOrder, MAX_GROUPED, NewBulkAction};
use utoipa::ToSchema;
use uuid::Uuid;

use super::read::{ListQuery, filter_of};
use crate::error::{ApiError, Problem};
use crate::extract::JsonBody;
use crate::router::Shared;
use crate::state::ApiState;

/// Executions of one action.
pub(crate) const MAX_MATCHED: usize = 100_000;
/// Executions that a dry run names.
const SAMPLE: usize = 10;

/// What is done to each.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Action {
    /// Ends those that have not ended.
    Cancel,
    /// Lets those rest that have not ended.
    Pause,
    /// Lets those go on that rest.
    Resume,
    /// Runs those again that have failed or were cancelled.
    Retry,
    /// Lets those go on where they stopped that have failed or were cancelled.
    RetryStep,
    /// Starts a new execution from each, with `fromStep`, `version` and `inputPatch` as a single fork has them.
    Fork,
}

impl BulkRequest {
    /// At once, for all of them.
    pub(crate) fn of(action: Action, ids: Option<Vec<Uuid>>, filter: Option<ListQuery>) -> Self {
        Self {
            action,
            ids,
            filter,
            dry_run: false,
            rate: None,
            canary: 0,
            stop_above: None,
            from_step: None,
            version: None,
            input_patch: None,
        }
    }

    fn order(&self) -> BulkOrder {
        let fact = match self.action {
            Action::Cancel => Fact::Cancel { reason: None },
            Action::Pause => Fact::Pause { reason: None },
            Action::Resume => Fact::Resume,
            Action::Retry => Fact::Retry,
            Action::RetryStep => Fact::RetryStep { step: None },
            Action::Fork => return BulkOrder::Fork(self.fork_order()),
        };
        BulkOrder::Tell(fact)
    }

    fn fork_order(&self) -> ForkOrder {
        ForkOrder {
            from_step: self.from_step.clone(),
            version: self.version,
            input_patch: self.input_patch.clone(),
        }
    }
}

/// What is done to which, and how fast.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "action": "retry", "filter": { "workflow": "welcome", "status": "failed", "error": "HTTP_STATUS" },
    "dryRun": true, "rate": 10, "canary": 5, "stopAbove": 0.2,
}))]
pub(crate) struct BulkRequest {
    pub(crate) action: Action,
    /// These executions; or a filter.
    pub(crate) ids: Option<Vec<Uuid>>,
    /// Those that the list shows with these filters.
    #[schema(value_type = Option<Object>)]
    pub(crate) filter: Option<ListQuery>,
    /// Only says how many there are, and which come first.
    #[serde(default)]
    pub(crate) dry_run: bool,
    /// Executions a second; as fast as it goes, if it is not said.
    pub(crate) rate: Option<u32>,
    /// So many first; the others only when these have ended or, if they are to be paused, rest.
    #[serde(default)]
    pub(crate) canary: u32,
    /// Stops when a larger part than this has failed: 0 to 1.
    pub(crate) stop_above: Option<f64>,
    /// Only of a fork: the step that it begins with; without it, the start.
    pub(crate) from_step: Option<String>,
    /// Only of a fork: another version than the execution's.
    pub(crate) version: Option<i32>,
    /// Only of a fork: changes to the input, a JSON Merge Patch (RFC 7396).
    #[schema(value_type = Option<Object>)]
    pub(crate) input_patch: Option<Value>,
}

/// An action, and how far it has come.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BulkView {
    /// Its id; none for a dry run.
    id: Option<Uuid>,
    /// `dryRun`, `running`, `done` or `stopped`.
    status: String,
    /// How many executions it is for.
    matched: usize,
    /// How many it has come to.
    acted: i32,
    /// How many of those were skipped, because it makes no sense for them: what has succeeded is not retried.
    skipped: i64,
    /// How many of the others, or of their forks, have failed since; and how many could not be forked.
    failed: i64,
    /// Why it stopped; or how many were skipped or could not be forked, and why the first.
    message: Option<String>,
    /// The first executions. Only of a dry run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sample: Vec<Uuid>,
    /// The first executions that it has started. Only of a fork.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    forks: Vec<Uuid>,
    created_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

/// Does something to many executions. Where it makes no sense for one, that one is skipped and counted.
#[utoipa::path(post, path = "/api/executions/bulk", operation_id = "begin_bulk_action", request_body = BulkRequest, responses(
    (status = 200, body = BulkView, description = "a dry run"),
    (status = 202, body = BulkView),
    (status = 400, body = Problem),
    (status = 404, body = Problem, description = "the filter names a workflow that does not exist"),
    (status = 422, body = Problem, description = "it would be for too many"),
))]
pub(crate) async fn begin(
    State(state): Shared,
    JsonBody(request): JsonBody<BulkRequest>,
) -> Result<(StatusCode, Json<BulkView>), ApiError> {
    carry_out(&state, request).await
}

/// Begins an action, or says what it would be for.
pub(crate) async fn carry_out(
    state: &ApiState,
    request: BulkRequest,
) -> Result<(StatusCode, Json<BulkView>), ApiError> {
    check(&request)?;
    let order = request.order();
    let mut asked = json!({
        "action": request.action, "rate": request.rate, "canary": request.canary, "stopAbove": request.stop_above,
    });
    if let (BulkOrder::Fork(fork), Some(asked)) = (&order, asked.as_object_mut()) {
        asked.insert("fork".to_owned(), json!(fork));
    }
    let BulkRequest { rate, canary, stop_above, dry_run, .. } = request;
    let executions = targets(state, request.ids, request.filter).await?;
    let matched = executions.len();
    let view = |id: Option<Uuid>, status: &str, sample: Vec<Uuid>| BulkView {
        id,
        status: status.to_owned(),
        matched,
        acted: 0,
        skipped: 0,
        failed: 0,
        message: None,
        sample,
        forks: Vec::new(),
        created_at: None,
        finished_at: None,
    };
    if dry_run {
        let sample = executions.into_iter().take(SAMPLE).collect();
        return Ok((StatusCode::OK, Json(view(None, "dryRun", sample))));
    }
    let signed = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let new = NewBulkAction {
        id: Uuid::now_v7(),
        namespace_id: state.namespace(),
        order,
        request: asked,
        rate: rate.map(signed),
        canary: signed(canary),
        stop_above,
        executions,
    };
    state.store.begin_bulk_action(&new).await?;
    state.wakeups.messages();
    Ok((StatusCode::ACCEPTED, Json(view(Some(new.id), "running", Vec::new()))))
}

fn check(request: &BulkRequest) -> Result<(), ApiError> {
    either(request.ids.is_some(), request.filter.is_some())?;
    if request.filter.as_ref().is_some_and(|it| it.limit.is_some() || it.cursor.is_some()) {
        return Err(ApiError::bad_request(
            "a filter has no `limit` and no `cursor`: it is for all",
        ));
    }
    if request.rate == Some(0) {
        return Err(ApiError::bad_request("`rate` is at least 1 execution a second"));
    }
    if request.stop_above.is_some_and(|part| !(0.0..=1.0).contains(&part)) {
        return Err(ApiError::bad_request("`stopAbove` is a part from 0 to 1"));
    }
    let is_fork = matches!(request.action, Action::Fork);
    if !is_fork && request.fork_order() != ForkOrder::default() {
        return Err(ApiError::bad_request(
            "`fromStep`, `version` and `inputPatch` are for the action `fork`",
        ));
    }
    Ok(())
}

/// Executions are named in one of two ways.
pub(crate) fn either(ids: bool, filter: bool) -> Result<(), ApiError> {
    if ids == filter {
        return Err(ApiError::bad_request("say which executions: either `ids` or `filter`"));
    }
    Ok(())
}

/// The executions that are meant: by their ids, or by a filter.
pub(crate) async fn targets(
    state: &ApiState,
    ids: Option<Vec<Uuid>>,
    filter: Option<ListQuery>,
) -> Result<Vec<Uuid>, ApiError> {
    let found = match (ids, filter) {
        (Some(ids), _) => ids,
        (None, filter) => {
            let filter = filter_of(state, filter.unwrap_or_default()).await?;
            state.store.matching(state.namespace(), &filter, MAX_MATCHED + 1).await?
        }
    };
    if found.len() > MAX_MATCHED {
        let detail = format!("it would be for more than {MAX_MATCHED} executions: narrow it");
        return Err(ApiError::unprocessable("TOO_MANY_MATCHED", &detail, Vec::new()));
    }
    Ok(found)
}

/// How far an action on many executions has come.
#[utoipa::path(get, path = "/api/executions/bulk/{id}", operation_id = "get_bulk_action", params(("id" = Uuid, Path)),
    responses((status = 200, body = BulkView), (status = 404, body = Problem)))]
pub(crate) async fn get(
    State(state): Shared,
    Path(id): Path<String>,
) -> Result<Json<BulkView>, ApiError> {
    let unknown = || {
        ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("there is no bulk action `{id}`"))
    };
    let action = Uuid::parse_str(&id).map_err(|_| unknown())?;
    let it = state.store.bulk_action(state.namespace(), action).await?;
    Ok(Json(BulkView {
        id: Some(it.id),
        status: it.status,
        matched: usize::try_from(it.matched).unwrap_or(0),
        acted: it.acted,
        skipped: it.skipped,
        failed: it.failed,
        message: it.message,
        sample: Vec::new(),
        forks: it.forks,
        created_at: Some(it.created_at),
        finished_at: it.finished_at,
    }))
}

/// Failures of a kind.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IncidentView {
    workflow: String,
    version: i32,
    /// The step at which they stopped.
    step: Option<String>,
    code: Option<String>,
    /// The digest of the step's plugin, if it is one.
    plugin_digest: Option<String>,
    executions: i64,
    /// The first and the last execution.
    first: Uuid,
    last: Uuid,
    /// What the last one said.
    message: Option<String>,
}

/// Failures by kind, the most frequent first: up to 100 kinds.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Incidents {
    items: Vec<IncidentView>,
    /// How many failures were looked at and counted: the newest, up to 2,000.
    looked_at: i64,
    /// There may be older ones since that instant, which were not counted.
    more: bool,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct IncidentsQuery {
    /// Of executions since this instant; of a week, if it is not said.
    since: Option<DateTime<Utc>>,
}

/// Groups what has failed, the newest 2,000 of it: by workflow and version, step, code and plugin.
#[utoipa::path(get, path = "/api/incidents", operation_id = "list_incidents", params(IncidentsQuery), responses((status = 200, body = Incidents)))]
pub(crate) async fn incidents(
    State(state): Shared,
    crate::extract::QueryOf(query): crate::extract::QueryOf<IncidentsQuery>,
) -> Result<Json<Incidents>, ApiError> {
    let since = query.since.unwrap_or_else(|| Utc::now() - chrono::TimeDelta::weeks(1));
    let found = state.store.incidents(state.namespace(), super::read::in_ids(since), 100).await?;
    let (looked_at, more) = (found.looked_at, found.looked_at >= MAX_GROUPED);
    let items = found.kinds.into_iter().map(|it| IncidentView {
        workflow: it.workflow,
        version: it.version,
        step: it.step,
        code: it.code,
        plugin_digest: it.plugin_digest,
        executions: it.executions,
        first: it.first,
        last: it.last,
        message: it.message,
    });
    Ok(Json(Incidents { items: items.collect(), looked_at, more }))
}
