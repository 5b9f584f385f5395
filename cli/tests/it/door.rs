//! A way to the database that shuts for good after so many answers: what was committed last, the worker never hears of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// The end of an answer: `ReadyForQuery` (PostgreSQL documentation, "Message Formats").
const READY_FOR_QUERY: u8 = b'Z';

pub(crate) struct Door {
    /// The database's address through the door.
    pub(crate) url: String,
    shut: Arc<Notify>,
    _serving: AbortOnDropHandle<()>,
}

struct Left {
    answers: AtomicUsize,
    shut: Arc<Notify>,
}

impl Door {
    /// Lets so many answers through, over all connections together.
    pub(crate) async fn to(database_url: &str, answers: usize) -> Self {
        let (rest, path) = database_url.rsplit_once('/').unwrap();
        let (scheme, address) = rest.rsplit_once('@').unwrap();
        let address = address.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme}@{}/{path}", listener.local_addr().unwrap());
        let shut = Arc::new(Notify::new());
        let left = Arc::new(Left { answers: AtomicUsize::new(answers), shut: Arc::clone(&shut) });
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&address).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&left)));
            }
        });
        Self { url, shut, _serving: AbortOnDropHandle::new(serving) }
    }

    /// Waits until it has shut.
    pub(crate) async fn shuts(&self) {
        self.shut.notified().await;
    }
}

async fn pass(client: TcpStream, server: TcpStream, left: Arc<Left>) {
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let questions = async {
        drop(tokio::io::copy(&mut from_client, &mut to_server).await);
    };
    tokio::select! {
        () = questions => {}
        _ = answers(from_server, to_client, left) => {}
    }
}

/// Passes messages on one by one, as long as answers are left.
async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    left: Arc<Left>,
) -> std::io::Result<()> {
    loop {
        let (kind, length) = (from.read_u8().await?, from.read_u32().await?);
        let mut body = vec![0; length as usize - 4];
        from.read_exact(&mut body).await?;
        if kind == READY_FOR_QUERY {
            let had =
                left.answers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            if had.is_err() {
                left.shut.notify_one();
                return std::future::pending().await;
            }
        }
        to.write_u8(kind).await?;
        to.write_u32(length).await?;
        to.write_all(&body).await?;
    }
}
