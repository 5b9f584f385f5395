//! The connections of the API: how many, how much memory each may buffer, how long it may be silent, how they end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::leftovers;
use crate::router::router;
use crate::state::ApiState;

/// A connection, and who made it.
type Accepted = (TcpStream, SocketAddr);

/// Connections at once; who comes then waits until one ends.
const MOST_CONNECTIONS: usize = 4_096;
/// What a connection may hold of what it has received, in bytes. A request's head has to fit in.
const BUFFER_BYTES: usize = 64 << 10;
/// How long a connection may be quiet between two requests, and a request's head may take to arrive. Clients keep unused
/// connections for up to 90 s (Go's `net/http`, Rust's `reqwest`), and they have to be the ones who close: what is sent on
/// a connection that is being closed is lost, and its sender cannot know whether it was done.
const QUIET_PATIENCE: Duration = Duration::from_mins(2);
/// How long what was sent may stay untaken.
const DEAF_PATIENCE: Duration = Duration::from_mins(1);
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
    serve_router(listener, router(state), stop).await
}

/// The same for any routes.
pub(crate) async fn serve_router(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let open = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    while let Some(((stream, peer), place)) = next(&listener, &room, &stop).await {
        let connection = open.watch(talk(stream, peer, router.clone()));
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
) -> Option<(Accepted, tokio::sync::OwnedSemaphorePermit)> {
    let accept = async {
        let place = Arc::clone(room).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok(accepted) => return Some((accepted, place)),
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
    peer: SocketAddr,
    router: Router,
) -> http1::Connection<
    TokioIo<TcpStream>,
    impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>,
> {
    // Answers are written whole: waiting for more to send only makes them late. It is a hint.
    drop(stream.set_nodelay(true));
    // Who does not take what it is sent, or is gone without a word, is cut off by the kernel (RFC 5482): nothing else
    // would end a stream that nobody reads.
    #[cfg(target_os = "linux")]
    drop(SockRef::from(&stream).set_tcp_user_timeout(Some(DEAF_PATIENCE)));
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let (mut request, leftovers) = leftovers::attend(request);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answering = router.call(request);
        async move {
            let answer = answering.await?;
            leftovers.discard(answer.status()).await;
            Ok(answer)
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(QUIET_PATIENCE)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
}
