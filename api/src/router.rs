//! All routes on one screen.

use ::secrets::secret::MAX_VALUE_BYTES;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Json;
use axum::routing::get;
use engine::definition::{MAX_DEFINITION_BYTES, MAX_PAYLOAD_BYTES};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::executions::bulk::MAX_MATCHED;
use crate::state::ApiState;
use crate::{
    approvals, blobs, executions, health, messages, namespaces, plugins, request_id, secrets,
    versions, workflows,
};

/// What a call's own fields may add to its payload.
const ENVELOPE_BYTES: usize = 64 << 10;
/// An id in a list, with its quotes, a comma and a blank.
const ID_BYTES: usize = 40;
/// The largest start, in bytes.
pub(crate) const MAX_START_BYTES: usize = MAX_PAYLOAD_BYTES + ENVELOPE_BYTES;
/// The largest batch, in bytes.
pub(crate) const MAX_BATCH_BYTES: usize = 32 << 20;

#[derive(OpenApi)]
#[openapi(info(
    title = "StateFlow",
    description = "Runs workflows written as JSON. Errors are RFC 9457 problem documents.",
))]
struct Document;

/// The whole API.
pub fn router(state: ApiState) -> Router {
    let max_upload_bytes = state.max_upload_bytes;
    let definitions = OpenApiRouter::new()
        .routes(routes!(workflows::list, workflows::create))
        .routes(routes!(workflows::validate))
        .routes(routes!(workflows::get, workflows::update))
        .routes(routes!(workflows::versions_get))
        .routes(routes!(versions::set_live))
        .routes(routes!(versions::diff))
        .routes(routes!(versions::migrate))
        .layer(DefaultBodyLimit::max(MAX_DEFINITION_BYTES + ENVELOPE_BYTES));
    let starts = OpenApiRouter::new()
        .routes(routes!(executions::start::execute))
        .routes(routes!(executions::fork::fork))
        .routes(routes!(messages::event))
        .routes(routes!(messages::signal))
        .routes(routes!(messages::token))
        .routes(routes!(approvals::decide))
        .layer(DefaultBodyLimit::max(MAX_START_BYTES));
    let batches = OpenApiRouter::new()
        .routes(routes!(executions::start::execute_batch))
        .layer(DefaultBodyLimit::max(MAX_BATCH_BYTES));
    let bulk = OpenApiRouter::new()
        .routes(routes!(executions::bulk::begin))
        .layer(DefaultBodyLimit::max(MAX_START_BYTES + MAX_MATCHED * ID_BYTES));
    let executions = OpenApiRouter::new()
        .routes(routes!(executions::read::list))
        .routes(routes!(executions::read::get))
        .routes(routes!(executions::read::timeline))
        .routes(routes!(executions::children::children))
        .routes(routes!(executions::bulk::get))
        .routes(routes!(executions::bulk::incidents))
        .routes(routes!(approvals::list))
        .routes(routes!(approvals::get))
        .routes(routes!(executions::logs::logs))
        .routes(routes!(executions::why::why))
        .routes(routes!(executions::act::cancel))
        .routes(routes!(executions::act::pause))
        .routes(routes!(executions::act::resume))
        .routes(routes!(executions::act::retry))
        .routes(routes!(executions::act::retry_step))
        .layer(DefaultBodyLimit::max(ENVELOPE_BYTES));
    let system = OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::prometheus))
        .routes(routes!(health::workers))
        .routes(routes!(namespaces::get_policy, namespaces::set_policy))
        .routes(routes!(namespaces::audit))
        .routes(routes!(blobs::create))
        .routes(routes!(blobs::get, blobs::delete))
        .routes(routes!(workflows::schema));
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .merge(definitions)
        .merge(starts)
        .merge(batches)
        .merge(bulk)
        .merge(executions)
        .merge(plugins(max_upload_bytes))
        .merge(secrets_routes())
        .merge(system)
        .split_for_parts();
    router
        .route("/api/openapi.json", get(async move || Json(document)))
        .layer(CatchPanicLayer::new())
        .layer(axum::middleware::from_fn_with_state(state.clone(), request_id::finish))
        .with_state(state)
}

/// What is uploaded, and what becomes of it.
fn plugins(max_upload_bytes: usize) -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(plugins::list, plugins::upload))
        .routes(routes!(plugins::get))
        .routes(routes!(plugins::get_version))
        .routes(routes!(plugins::life::diff))
        .routes(routes!(plugins::life::approve))
        .routes(routes!(plugins::life::yank))
        .routes(routes!(plugins::life::sign))
        .routes(routes!(plugins::life::collect))
        .layer(DefaultBodyLimit::max(max_upload_bytes + ENVELOPE_BYTES))
}

fn secrets_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::set, secrets::delete))
        .routes(routes!(secrets::rotate))
        // In JSON, a character of a value may take six bytes.
        .layer(DefaultBodyLimit::max(6 * MAX_VALUE_BYTES + ENVELOPE_BYTES))
}

/// Handlers take the state like this.
pub(crate) type Shared = State<ApiState>;
