//! Wake-ups without thunder: this process directly, others through `NOTIFY`, polling for what both miss.
//!
//! `NOTIFY` takes a global lock when its transaction commits. So it is never part of the transaction that
//! causes it: causes are gathered for [`COALESCE`], and one small statement then tells of all of them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Store, StoreError};

/// How long causes are gathered before other processes are told.
const COALESCE: Duration = Duration::from_millis(5);
/// The wait before a broken listener is set up again.
const RELISTEN: Duration = Duration::from_millis(500);
/// Listeners that lag further behind than this look for themselves.
const BACKLOG: usize = 4_096;
/// `NOTIFY` takes up to 8,000 bytes; a UUID and its separator are 37.
const IDS_PER_NOTE: usize = 200;

/// Something that may be worth looking at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wakeup {
    /// These executions have ended.
    Finished(Vec<Uuid>),
    /// These executions have a new fact in their inbox.
    Signalled(Vec<Uuid>),
    /// The connection was away: anything may have happened.
    Missed,
}

/// The hub of one process.
#[derive(Clone)]
pub struct Wakeups {
    shared: Arc<Shared>,
}

struct Shared {
    work: Notify,
    news: broadcast::Sender<Wakeup>,
    outgoing: Mutex<Outgoing>,
    something_to_tell: Notify,
}

#[derive(Default)]
struct Outgoing {
    work: bool,
    finished: HashSet<Uuid>,
    signalled: HashSet<Uuid>,
}

impl Default for Wakeups {
    fn default() -> Self {
        let shared = Shared {
            work: Notify::new(),
            news: broadcast::channel(BACKLOG).0,
            outgoing: Mutex::default(),
            something_to_tell: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Wakeups {
    /// There is something to claim.
    pub fn work(&self) {
        self.shared.work.notify_waiters();
        self.tell(|outgoing| outgoing.work = true);
    }

    /// Watched executions have ended.
    pub fn finished(&self, ids: Vec<Uuid>) {
        if !ids.is_empty() {
            self.tell(|outgoing| outgoing.finished.extend(&ids));
            self.announce(Wakeup::Finished(ids));
        }
    }

    /// An execution has a new fact in its inbox.
    pub fn signalled(&self, id: Uuid) {
        self.announce(Wakeup::Signalled(vec![id]));
        self.tell(|outgoing| {
            outgoing.signalled.insert(id);
        });
    }

    /// Completes at the next [`Wakeups::work`] of any process. Enable it before looking for work.
    pub fn work_arrives(&self) -> tokio::sync::futures::Notified<'_> {
        self.shared.work.notified()
    }

    /// What happens from now on. A receiver that lags should look for itself.
    pub fn subscribe(&self) -> broadcast::Receiver<Wakeup> {
        self.shared.news.subscribe()
    }

    /// Relays between this hub and the other processes on the same schema, until cancelled.
    pub async fn relay(self, store: Store, until: CancellationToken) {
        let send = self.send_notes(store.clone());
        let receive = self.receive_notes(store);
        tokio::select! {
            () = until.cancelled() => {}
            () = send => {}
            () = receive => {}
        }
    }

    fn announce(&self, wakeup: Wakeup) {
        // Nobody listening is fine.
        drop(self.shared.news.send(wakeup));
    }

    fn tell(&self, note: impl FnOnce(&mut Outgoing)) {
        note(&mut self.outgoing());
        self.shared.something_to_tell.notify_one();
    }

    fn outgoing(&self) -> std::sync::MutexGuard<'_, Outgoing> {
        self.shared.outgoing.lock().expect("no holder of this lock panics")
    }

    async fn send_notes(&self, store: Store) {
        loop {
            self.shared.something_to_tell.notified().await;
            tokio::time::sleep(COALESCE).await;
            let outgoing = std::mem::take(&mut *self.outgoing());
            if let Err(error) = store.notify(outgoing).await {
                tracing::debug!(error = ?error, "other processes were not told; they poll");
            }
        }
    }

    async fn receive_notes(&self, store: Store) {
        loop {
            if let Err(error) = self.listen(&store).await {
                tracing::warn!(error = ?error, "listening for notifications again in a moment");
            }
            self.shared.work.notify_waiters();
            self.announce(Wakeup::Missed);
            tokio::time::sleep(RELISTEN).await;
        }
    }

    /// Listens until the connection breaks.
    async fn listen(&self, store: &Store) -> Result<(), StoreError> {
        let mut listener = PgListener::connect_with(&store.pool).await?;
        listener.eager_reconnect(false);
        let channels = Channels::of(store);
        listener
            .listen_all([channels.work.as_str(), &channels.finished, &channels.signalled])
            .await?;
        while let Some(note) = listener.try_recv().await? {
            let ids = || note.payload().split(',').filter_map(|id| id.parse().ok()).collect();
            if note.channel() == channels.work {
                self.shared.work.notify_waiters();
            } else if note.channel() == channels.finished {
                self.announce(Wakeup::Finished(ids()));
            } else {
                self.announce(Wakeup::Signalled(ids()));
            }
        }
        Ok(())
    }
}

struct Channels {
    work: String,
    finished: String,
    signalled: String,
}

impl Channels {
    fn of(store: &Store) -> Self {
        let name = |subject: &str| format!("{}.{subject}", store.schema);
        Self { work: name("work"), finished: name("finished"), signalled: name("signalled") }
    }
}

impl Store {
    async fn notify(&self, outgoing: Outgoing) -> Result<(), StoreError> {
        let channels = Channels::of(self);
        let mut notes = Vec::new();
        if outgoing.work {
            notes.push((channels.work, String::new()));
        }
        notes.extend(payloads(outgoing.finished).map(|ids| (channels.finished.clone(), ids)));
        notes.extend(payloads(outgoing.signalled).map(|ids| (channels.signalled.clone(), ids)));
        let (names, payloads): (Vec<_>, Vec<_>) = notes.into_iter().unzip();
        sqlx::query!(
            r#"select count(pg_notify(channel, payload)) as "sent!"
               from unnest($1::text[], $2::text[]) as n (channel, payload)"#,
            &names,
            &payloads,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }
}

fn payloads(ids: HashSet<Uuid>) -> impl Iterator<Item = String> {
    let ids: Vec<_> = ids.into_iter().map(|id| id.to_string()).collect();
    let notes: Vec<_> = ids.chunks(IDS_PER_NOTE).map(|chunk| chunk.join(",")).collect();
    notes.into_iter()
}
