//! The executions that an execution has begun: branches, items, other workflows.

use axum::extract::{Path, State};
use axum::response::Json;
use chrono::{DateTime, Utc};
use engine::machine::ExecutionStatus;
use serde::{Deserialize, Serialize};
use store::families::Member;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::error::{ApiError, Problem};
use crate::extract::{QueryOf, execution_id, page_size};
use crate::router::Shared;
use crate::state::ApiState;

/// Families that one call looks through.
const MAX_FAMILIES: i64 = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct ChildrenQuery {
    /// Only those with this status.
    #[param(value_type = Option<String>)]
    status: Option<ExecutionStatus>,
    /// 1 to 500; 50 if not given.
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// A child in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChildView {
    id: Uuid,
    /// The step of the parent that has begun it.
    step: String,
    /// The block of the parent that it runs; none for another workflow.
    block: Option<String>,
    /// Its place among its siblings, from 0.
    index: i32,
    workflow: String,
    version: i32,
    status: String,
    error_code: Option<String>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

/// A page of children, in the order in which they were begun.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChildrenPage {
    items: Vec<ChildView>,
    next_cursor: Option<String>,
}

/// Where a page begins: a family, and a place in it.
#[derive(Clone, Copy, Default)]
struct Place {
    visit: i32,
    ordinal: i32,
}

impl Place {
    fn read(cursor: Option<&str>) -> Result<Self, ApiError> {
        let Some(text) = cursor else { return Ok(Self::default()) };
        let place = text.split_once('.').and_then(|(visit, ordinal)| {
            Some(Self { visit: visit.parse().ok()?, ordinal: ordinal.parse().ok()? })
        });
        place
            .filter(|place| place.visit >= 0 && place.ordinal >= 0)
            .ok_or_else(|| ApiError::bad_request("`cursor` is the `nextCursor` of a page before"))
    }

    fn write(self) -> String {
        format!("{}.{}", self.visit, self.ordinal)
    }
}

/// Lists the executions that an execution has begun.
#[utoipa::path(get, path = "/api/executions/{id}/children", operation_id = "list_children", params(("id" = Uuid, Path), ChildrenQuery), responses(
    (status = 200, body = ChildrenPage), (status = 404, body = Problem),
))]
pub(crate) async fn children(
    State(state): Shared,
    Path(id): Path<String>,
    QueryOf(query): QueryOf<ChildrenQuery>,
) -> Result<Json<ChildrenPage>, ApiError> {
    let limit = page_size(query.limit)?;
    let from = Place::read(query.cursor.as_deref())?;
    let parent = state.store.execution(state.namespace(), execution_id(&id)?).await?;
    let status = query.status.map(ExecutionStatus::as_str);
    Ok(Json(page(&state, parent.id, from, status, limit as usize).await?))
}

async fn page(
    state: &ApiState,
    parent_id: Uuid,
    from: Place,
    status: Option<&str>,
    limit: usize,
) -> Result<ChildrenPage, ApiError> {
    let mut items = Vec::new();
    let families = state.store.families(parent_id, from.visit, MAX_FAMILIES).await?;
    let all_looked_at = families.len() < usize::try_from(MAX_FAMILIES).unwrap_or(usize::MAX);
    let after_last = families.last().map(|it| Place { visit: it.visit + 1, ordinal: 0 });
    for family in families {
        let first = if family.visit == from.visit { from.ordinal } else { 0 };
        let ids = family.members(parent_id, first..family.total);
        let room = limit - items.len();
        let most = i64::try_from(room).unwrap_or(i64::MAX);
        let found = state.store.children(&ids, status, most).await?;
        let full = found.len() == room;
        items.extend(found.into_iter().map(|it| view(it, &family.step_id)));
        if full {
            let last = items.last().map_or(0, |it| it.index);
            let next = Place { visit: family.visit, ordinal: last + 1 };
            return Ok(ChildrenPage { items, next_cursor: Some(next.write()) });
        }
    }
    let next_cursor = after_last.filter(|_| !all_looked_at).map(Place::write);
    Ok(ChildrenPage { items, next_cursor })
}

fn view(it: Member, step: &str) -> ChildView {
    ChildView {
        id: it.id,
        step: step.to_owned(),
        block: it.block,
        index: it.ordinal.unwrap_or_default(),
        workflow: it.workflow,
        version: it.version,
        status: it.status,
        error_code: it.error_code,
        started_at: it.started_at,
        finished_at: it.finished_at,
    }
}
