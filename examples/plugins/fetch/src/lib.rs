//! Gets a page through WASI's own HTTP interface, as a library would that knows nothing of StateFlow.
//!
//! The step's grants hold for it as for `stateflow_plugin::http`: what is not granted is refused as
//! `HTTP-request-denied`, and the attempt's log says which rule would allow it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stateflow_plugin::{Call, Error};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{ErrorCode, Fields, IncomingResponse, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

/// The most that is kept of a page, in bytes.
const MAX_BODY_BYTES: usize = 100 << 10;
/// The most that is read at once, in bytes.
const PIECE_BYTES: u64 = 16 << 10;

/// What the step is given.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// `host` or `host:port`.
    authority: String,
    /// The path, and what follows it.
    #[serde(default = "root")]
    path: String,
    /// Without TLS.
    #[serde(default)]
    plain: bool,
}

/// What the step answers.
#[derive(Serialize, JsonSchema)]
struct Output {
    /// The status.
    status: u16,
    /// The beginning of the page.
    body: String,
}

fn root() -> String {
    "/".to_owned()
}

fn run(_: &Call, config: Config) -> Result<Output, Error> {
    let response = get(&config).map_err(|error| Error::retryable("not-fetched", format!("{error:?}")))?;
    let status = response.status();
    let body = read(&response).map_err(|error| Error::retryable("cut-off", format!("{error:?}")))?;
    Ok(Output { status, body: String::from_utf8_lossy(&body).into_owned() })
}

fn get(config: &Config) -> Result<IncomingResponse, ErrorCode> {
    let request = OutgoingRequest::new(Fields::new());
    let scheme = if config.plain { Scheme::Http } else { Scheme::Https };
    let said = request
        .set_scheme(Some(&scheme))
        .and_then(|()| request.set_authority(Some(&config.authority)))
        .and_then(|()| request.set_path_with_query(Some(&config.path)));
    said.map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    let coming = outgoing_handler::handle(request, None)?;
    coming.subscribe().block();
    let come = coming.get().expect("it was waited for");
    come.expect("it is taken once")
}

fn read(response: &IncomingResponse) -> Result<Vec<u8>, StreamError> {
    let body = response.consume().expect("it is taken once");
    let stream = body.stream().expect("it is taken once");
    let mut read = Vec::new();
    while read.len() < MAX_BODY_BYTES {
        match stream.blocking_read(PIECE_BYTES) {
            Ok(piece) => read.extend(piece),
            Err(StreamError::Closed) => break,
            Err(error) => return Err(error),
        }
    }
    read.truncate(MAX_BODY_BYTES);
    Ok(read)
}

stateflow_plugin::step! {
    name: "demo/fetch",
    version: "1.0.0",
    description: "Gets a page through WASI's own HTTP interface",
    run: run,
}
