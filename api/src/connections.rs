//! The connections of the API: how many, how much memory each may buffer, how long it may be silent, how they end.

use std::convert::Infallible;
use std::net::SocketAddr;
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
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::leftovers;
use crate::places::Places;
use crate::rate_limit::network;
use crate::router::router;
use crate::state::ApiState;

/// A connection, and who made it.
type Accepted = (TcpStream, SocketAddr);

/// Connections at once; who comes then waits until one ends.
const MOST_CONNECTIONS: usize = 4_096;
/// What a client is told that has more than its share of them: half, unless all of them come from a proxy.
const REFUSAL: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\n\
    content-type: application/problem+json\r\nconnection: close\r\nretry-after: 1\r\n\r\n\
    {\"type\":\"urn:stateflow:problem:RATE_LIMITED\",\"title\":\"Too Many Requests\",\"status\":429,\"code\":\"RATE_LIMITED\",\
    \"detail\":\"this client has as many connections as it may; close some, or use them for more than one request\"}";
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
    let share =
        if state.clients.are_behind_proxy() { MOST_CONNECTIONS } else { MOST_CONNECTIONS / 2 };
    serve_router(listener, router(state), Places::new(MOST_CONNECTIONS, share), stop).await
}

/// The same for routes of which a process has only a few callers.
pub(crate) async fn serve_few(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> std::io::Result<()> {
    serve_router(listener, router, Places::new(MOST_CONNECTIONS, MOST_CONNECTIONS / 2), stop).await
}

async fn serve_router(
    listener: TcpListener,
    router: Router,
    places: Places,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let open = GracefulShutdown::new();
    while let Some(((stream, peer), permit)) = next(&listener, &places, &stop).await {
        let Some(place) = places.give(permit, network(peer.ip())) else {
            // Whoever floods is not waited for: what fits into the socket's buffer has to do.
            drop(stream.try_write(REFUSAL));
            continue;
        };
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
    places: &Places,
    stop: &CancellationToken,
) -> Option<(Accepted, OwnedSemaphorePermit)> {
    let accept = async {
        let permit = places.free().await;
        loop {
            match listener.accept().await {
                Ok(accepted) => return (accepted, permit),
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
        accepted = accept => Some(accepted),
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

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpSocket;

    use super::*;

    /// A connection from an address of this machine, and what is answered on it first.
    async fn asked(from: &str, server: SocketAddr) -> (TcpStream, String) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(from.parse().unwrap()).unwrap();
        let mut stream = socket.connect(server).await.unwrap();
        // Who is refused may be cut off while it asks.
        drop(stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await);
        let mut answer = vec![0; 4_096];
        let read = stream.read(&mut answer).await.unwrap_or(0);
        answer.truncate(read);
        (stream, String::from_utf8(answer).unwrap())
    }

    #[tokio::test]
    async fn a_client_with_its_share_of_connections_keeps_nobody_else_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (server, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let router = Router::new().route("/", get(async || "hi"));
        let serving = tokio::spawn(serve_router(listener, router, Places::new(3, 2), stop.clone()));
        let one = [asked("127.0.0.1:0", server).await, asked("127.0.0.1:0", server).await];
        assert!(one.iter().all(|(_, answer)| answer.ends_with("hi")), "{one:?}");
        let (_, refused) = asked("127.0.0.1:0", server).await;
        assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 429 "), "{refused}");
        if let Some((_, problem)) = refused.split_once("\r\n\r\n") {
            let problem: serde_json::Value = serde_json::from_str(problem).unwrap();
            assert_eq!(problem["code"], "RATE_LIMITED");
        }
        let (_, answer) = asked("127.0.0.2:0", server).await;
        assert!(answer.ends_with("hi"), "{answer}");
        stop.cancel();
        serving.await.unwrap().unwrap();
    }
}
