//! Versions of a workflow: which one is live, how two differ, and moving executions from one to another.

use axum::extract::{Path, State};
use axum::response::Json;
use engine::definition::{Definition, Step};
use engine::migration::{self, obstacles};
use engine::plan::Plan;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::workflows::{Live, Workflow};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::error::{ApiError, Problem};
use crate::extract::{JsonBody, QueryOf};
use crate::router::Shared;
use crate::state::ApiState;

/// Executions that are looked at in one go.
const PAGE: i64 = 500;
/// Executions that stay, and that one answer names.
const MAX_NAMED: usize = 100;

/// Which version is live.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "version": 1, "ramp": { "version": 2, "percent": 10 } }))]
pub(crate) struct LiveDocument {
    /// The version that new executions run; `null`: the newest, whatever is published.
    version: Option<i32>,
    /// Another version for a part of them.
    ramp: Option<Ramp>,
}

/// A version for a part of the executions.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ramp {
    pub(crate) version: i32,
    /// 0 to 100.
    pub(crate) percent: i32,
}

/// Says which version new executions run. Those under way stay on theirs.
#[utoipa::path(put, path = "/api/workflows/{workflow}/live", operation_id = "set_live_version", params(("workflow" = String, Path)),
    request_body = LiveDocument, responses(
        (status = 200, body = LiveDocument),
        (status = 400, body = Problem),
        (status = 404, body = Problem, description = "there is no such workflow or version"),
))]
pub(crate) async fn set_live(
    State(state): Shared,
    Path(workflow): Path<String>,
    JsonBody(live): JsonBody<LiveDocument>,
) -> Result<Json<LiveDocument>, ApiError> {
    if live.ramp.as_ref().is_some_and(|ramp| !(0..=100).contains(&ramp.percent)) {
        return Err(ApiError::bad_request("`ramp.percent` is 0 to 100"));
    }
    let known = state.store.workflow(state.namespace(), &workflow).await?;
    let ramp = live.ramp.as_ref().map(|ramp| (ramp.version, ramp.percent));
    state.store.set_live(&known, Live { version: live.version, ramp }).await?;
    state.forget_workflow(&workflow).await;
    Ok(Json(live))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffQuery {
    from: i32,
    to: i32,
}

/// How two versions differ.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiffView {
    from: i32,
    to: i32,
    steps: StepsDiff,
    /// What differs besides the steps: a JSON Patch (RFC 6902).
    #[schema(value_type = Vec<Object>)]
    other: Value,
}

/// How the steps differ, by id.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct StepsDiff {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<StepDiff>,
}

/// How a step differs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StepDiff {
    id: String,
    /// From the old step to the new one: a JSON Patch (RFC 6902).
    #[schema(value_type = Vec<Object>)]
    changes: Value,
}

/// Compares two versions.
#[utoipa::path(get, path = "/api/workflows/{workflow}/diff", operation_id = "diff_versions", params(("workflow" = String, Path), DiffQuery), responses(
    (status = 200, body = DiffView), (status = 404, body = Problem),
))]
pub(crate) async fn diff(
    State(state): Shared,
    Path(workflow): Path<String>,
    QueryOf(query): QueryOf<DiffQuery>,
) -> Result<Json<DiffView>, ApiError> {
    let workflow = state.store.workflow(state.namespace(), &workflow).await?;
    let old = state.definition(workflow.id, query.from).await?;
    let new = state.definition(workflow.id, query.to).await?;
    let mut steps = StepsDiff::default();
    for step in &new.steps {
        match find(&old, &step.id) {
            None => steps.added.push(step.id.clone()),
            Some(before) if before != step => {
                steps.changed.push(StepDiff { id: step.id.clone(), changes: patch(before, step) });
            }
            Some(_) => {}
        }
    }
    let gone = old.steps.iter().filter(|step| find(&new, &step.id).is_none());
    steps.removed = gone.map(|step| step.id.clone()).collect();
    let bare = |it: &Definition| Definition { steps: Vec::new(), ..it.clone() };
    let other = patch(&bare(&old), &bare(&new));
    Ok(Json(DiffView { from: query.from, to: query.to, steps, other }))
}

fn find<'a>(definition: &'a Definition, id: &str) -> Option<&'a Step> {
    definition.steps.iter().find(|step| step.id == id)
}

fn patch(old: &impl Serialize, new: &impl Serialize) -> Value {
    json!(json_patch::diff(&json!(old), &json!(new)))
}

/// Which executions go on by which version.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "from": 1, "to": 2, "dryRun": true }))]
pub(crate) struct MigrateRequest {
    from: i32,
    to: i32,
    /// Only says which would.
    #[serde(default)]
    dry_run: bool,
}

/// What became of the executions under way.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MigrateView {
    /// How many go on by the other version; of a dry run, how many would.
    moved: usize,
    /// How many stay.
    stay: usize,
    /// The first of those, and why.
    staying: Vec<Staying>,
    dry_run: bool,
}

/// An execution that stays on its version.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Staying {
    id: Uuid,
    obstacles: Vec<String>,
}

/// Lets the executions under way go on by another version where that is provably safe, and says why not for the rest.
#[utoipa::path(post, path = "/api/workflows/{workflow}/migrate-executions", operation_id = "migrate_executions", params(("workflow" = String, Path)),
    request_body = MigrateRequest, responses(
        (status = 200, body = MigrateView),
        (status = 404, body = Problem, description = "there is no such workflow or version"),
))]
pub(crate) async fn migrate(
    State(state): Shared,
    Path(workflow): Path<String>,
    JsonBody(request): JsonBody<MigrateRequest>,
) -> Result<Json<MigrateView>, ApiError> {
    let workflow = state.store.workflow(state.namespace(), &workflow).await?;
    let (from, from_plan) = version(&state, &workflow, request.from).await?;
    let (to, to_plan) = version(&state, &workflow, request.to).await?;
    let from = migration::Version { definition: &from, plan: &from_plan };
    let to = migration::Version { definition: &to, plan: &to_plan };
    let mut view = MigrateView { dry_run: request.dry_run, ..MigrateView::default() };
    let mut after = Uuid::nil();
    loop {
        let page = state.store.live_executions(workflow.id, request.from, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(Json(view)) };
        after = last.id;
        for execution in page {
            let mut found = obstacles(&execution.state, &execution.input, from, to);
            if found.is_empty() && !request.dry_run {
                let moved = state.store.move_execution(&execution, request.to).await?;
                found.extend((!moved).then(|| "a worker has it just now: try again".to_owned()));
            }
            view.count(execution.id, found);
        }
    }
}

impl MigrateView {
    fn count(&mut self, id: Uuid, obstacles: Vec<String>) {
        if obstacles.is_empty() {
            self.moved += 1;
            return;
        }
        self.stay += 1;
        if self.staying.len() < MAX_NAMED {
            self.staying.push(Staying { id, obstacles });
        }
    }
}

async fn version(
    state: &ApiState,
    workflow: &Workflow,
    number: i32,
) -> Result<(Definition, Plan), ApiError> {
    let definition = state.definition(workflow.id, number).await?;
    Ok(((*definition).clone(), state.plan(workflow.id, number).await?))
}
