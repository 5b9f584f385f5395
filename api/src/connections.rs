//! The connections of the API: how many, how much memory each may buffer, how long it may be silent, how they end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::router::router;
use crate::state::ApiState;

/// Connections at once; who comes then waits until one ends.
const MOST_CONNECTIONS: usize = 4_096;
/// What a connection may hold of what it has received, in bytes. A request's head has to fit in.
const BUFFER_BYTES: usize = 64 << 10;
/// How long a request's head may take to arrive.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// How long open connections may take to end at shutdown.
const GRACE: Duration = Duration::from_secs(10);
/// The wait after a connection could not be taken: most often there is no file descriptor left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Serves until `stop`; open requests then get a few seconds to end.
pub async fn serve(
    listener: TcpListener,
    state: ApiState,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let (router, open) = (router(state), GracefulShutdown::new());
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    while let Some((stream, place)) = next(&listener, &room, &stop).await {
        let connection = open.watch(talk(stream, router.clone()));
        tokio::spawn(async move {
            // Callers break connections as they like.
            drop(connection.await);
            drop(place);
        });
    }
    drop(listener);
    drop(tokio::time::timeout(GRACE, open.shutdown()).await);
    Ok(())
}

/// The next connection and its place; `None` at the end.
async fn next(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let accept = async {
        let place = Arc::clone(room).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, place)),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        accepted = accept => accepted,
    }
}

fn talk(
    stream: TcpStream,
    router: Router,
) -> http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>> {
    // Answers are written whole: waiting for more to send only makes them late. It is a hint.
    drop(stream.set_nodelay(true));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}
