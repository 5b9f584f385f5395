//! All routes on one screen.

use ::secrets::secret::MAX_VALUE_BYTES;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{Json, Redirect};
use axum::routing::get;
use engine::definition::{MAX_DEFINITION_BYTES, MAX_PAYLOAD_BYTES};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::executions::bulk::MAX_MATCHED;
use crate::monitoring::{admin, metrics, probes};
use crate::state::ApiState;
use crate::{
    approvals, blobs, dead_letters, document, executions, idempotency, messages, namespaces,
    plugins, request_id, secrets, versions, workflows,
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
    let once = |routes: Routes| -> Routes {
        routes.layer(axum::middleware::from_fn_with_state(state.clone(), idempotency::once))
    };
    let (router, document) = routes(state.max_upload_bytes, &once).split_for_parts();
    let document = document::complete(document);
    router
        .route("/api/openapi.json", get(async move || Json(document)))
        // Whoever opens the address that a server prints wants to see something.
        .route("/", get(async || Redirect::temporary("/api/docs/")))
        .merge(SwaggerUi::new("/api/docs").config(Config::from("/api/openapi.json")))
        .layer(CatchPanicLayer::new())
        .layer(axum::middleware::from_fn_with_state(state.clone(), request_id::finish))
        .with_state(state)
}

/// The `OpenAPI` document that the API serves, in JSON.
pub fn openapi() -> serde_json::Value {
    // How large an upload may be is not part of it, nor is what wraps the handlers.
    document::complete(routes(0, &|routes| routes).split_for_parts().1)
}

type Routes = OpenApiRouter<ApiState>;

/// Wraps changes so that each is carried out once for its `Idempotency-Key`.
type Once<'a> = &'a dyn Fn(Routes) -> Routes;

fn routes(max_upload_bytes: usize, once: Once<'_>) -> Routes {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(definitions(once))
        .merge(starts())
        .merge(decisions(once))
        .merge(bulk(once))
        .merge(executions(once))
        .merge(plugins(max_upload_bytes, once))
        .merge(secrets_routes())
        .merge(system(once))
}

fn definitions(once: Once<'_>) -> Routes {
    let routes = OpenApiRouter::new()
        .routes(routes!(workflows::list, workflows::create))
        .routes(routes!(workflows::validate))
        .routes(routes!(workflows::get, workflows::update, workflows::archive))
        .routes(routes!(workflows::versions))
        .routes(routes!(workflows::versions_get))
        .routes(routes!(versions::set_live))
        .routes(routes!(versions::diff))
        .routes(routes!(versions::migrate));
    once(routes).layer(DefaultBodyLimit::max(MAX_DEFINITION_BYTES + ENVELOPE_BYTES))
}

/// What begins something or reaches something under way: these keep keys of their own.
fn starts() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(executions::start::execute))
        .routes(routes!(messages::event))
        .routes(routes!(messages::signal))
        .routes(routes!(messages::token))
        .layer(DefaultBodyLimit::max(MAX_START_BYTES))
}

fn decisions(once: Once<'_>) -> Routes {
    let routes = OpenApiRouter::new()
        .routes(routes!(executions::fork::fork))
        .routes(routes!(approvals::decide));
    let batch = OpenApiRouter::new().routes(routes!(executions::start::execute_batch));
    once(routes)
        .layer(DefaultBodyLimit::max(MAX_START_BYTES))
        .merge(once(batch).layer(DefaultBodyLimit::max(MAX_BATCH_BYTES)))
}

fn bulk(once: Once<'_>) -> Routes {
    let routes = OpenApiRouter::new()
        .routes(routes!(executions::bulk::begin))
        .routes(routes!(dead_letters::redrive))
        .routes(routes!(dead_letters::purge));
    once(routes).layer(DefaultBodyLimit::max(MAX_START_BYTES + MAX_MATCHED * ID_BYTES))
}

fn executions(once: Once<'_>) -> Routes {
    let routes = OpenApiRouter::new()
        .routes(routes!(executions::read::list))
        .routes(routes!(executions::read::get))
        .routes(routes!(dead_letters::list))
        .routes(routes!(executions::read::timeline))
        .routes(routes!(executions::children::children))
        .routes(routes!(executions::bulk::get))
        .routes(routes!(executions::bulk::incidents))
        .routes(routes!(approvals::list))
        .routes(routes!(approvals::get))
        .routes(routes!(executions::logs::logs))
        .routes(routes!(executions::follow::events))
        .routes(routes!(executions::why::why))
        .routes(routes!(executions::act::cancel))
        .routes(routes!(executions::act::pause))
        .routes(routes!(executions::act::resume))
        .routes(routes!(executions::act::retry))
        .routes(routes!(executions::act::retry_step));
    once(routes).layer(DefaultBodyLimit::max(ENVELOPE_BYTES))
}

fn system(once: Once<'_>) -> Routes {
    let policies = OpenApiRouter::new()
        .routes(routes!(namespaces::get_policy, namespaces::set_policy))
        .routes(routes!(namespaces::audit));
    OpenApiRouter::new()
        .merge(once(policies))
        .merge(monitoring())
        .routes(routes!(blobs::create))
        .routes(routes!(blobs::get, blobs::delete))
        .routes(routes!(workflows::schema))
}

/// How it is.
fn monitoring() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(probes::health))
        .routes(routes!(probes::live))
        .routes(routes!(probes::ready))
        .routes(routes!(probes::workers))
        .routes(routes!(admin::health))
        .routes(routes!(admin::detailed))
        .routes(routes!(metrics::json))
        .routes(routes!(metrics::prometheus))
        .routes(routes!(metrics::dead_letters))
}

/// What is uploaded, and what becomes of it. An upload is known by its bytes and needs no key.
fn plugins(max_upload_bytes: usize, once: Once<'_>) -> Routes {
    let life = OpenApiRouter::new()
        .routes(routes!(plugins::life::approve))
        .routes(routes!(plugins::life::yank))
        .routes(routes!(plugins::life::sign))
        .routes(routes!(plugins::life::collect));
    OpenApiRouter::new()
        .routes(routes!(plugins::list, plugins::upload))
        .routes(routes!(plugins::get))
        .routes(routes!(plugins::get_version))
        .routes(routes!(plugins::life::diff))
        .merge(once(life))
        .layer(DefaultBodyLimit::max(max_upload_bytes + ENVELOPE_BYTES))
}

/// Setting and deleting are the same however often they are done, and a key would keep a secret's digest.
fn secrets_routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::set, secrets::delete))
        .routes(routes!(secrets::rotate))
        // In JSON, a character of a value may take six bytes.
        .layer(DefaultBodyLimit::max(6 * MAX_VALUE_BYTES + ENVELOPE_BYTES))
}

/// Handlers take the state like this.
pub(crate) type Shared = State<ApiState>;
