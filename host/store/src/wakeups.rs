//! Wake-ups without thunder: this process directly, others through `NOTIFY`, polling for what both miss.
//!
//! `NOTIFY` takes a global lock when its transaction commits, and that commit has to reach the disk like any other. So it is
//! never part of the transaction that causes it, one small statement tells of all that happens in [`COALESCE`] once things
//! happen faster than they are told, and nobody else is told of what this process takes care of itself: work that a
//! claimer here is waiting for, the end of an execution that a caller here is waiting for.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::value::RawValue;
use sqlx::postgres::PgListener;
use tokio::sync::{Notify, broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Store, StoreError};

/// The shortest time between two notifications of a process, while each tells of more than one thing. Who goes one
/// by one has nothing to coalesce, and would only wait.
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
    /// These executions have a new fact in their inbox.
    Signalled(Vec<Uuid>),
    /// The connection was away: anything may have happened.
    Missed,
}

/// How an execution ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The execution.
    pub id: Uuid,
    /// Its last status.
    pub status: &'static str,
    /// With what, if it succeeded.
    pub output: Option<Box<RawValue>>,
    /// Why, if it did not.
    pub failure: Option<Box<RawValue>>,
}

/// What somebody who waits for an end is told.
#[derive(Clone, Debug)]
pub enum News {
    /// This is how it ended.
    Ended(Ended),
    /// It may have ended: look.
    Look,
}

/// Waits for the end of one execution. Begin before the execution can end; it goes off the list when dropped.
pub struct EndWatch {
    id: Uuid,
    number: u64,
    shared: Arc<Shared>,
    news: mpsc::Receiver<News>,
}

impl EndWatch {
    /// The next news.
    pub async fn news(&mut self) -> News {
        // The sender lives in the list until `drop`.
        self.news.recv().await.unwrap_or(News::Look)
    }
}

impl Drop for EndWatch {
    fn drop(&mut self) {
        let mut watched = self.shared.watched();
        if let Some(watchers) = watched.get_mut(&self.id) {
            watchers.retain(|watcher| watcher.number != self.number);
            if watchers.is_empty() {
                watched.remove(&self.id);
            }
        }
    }
}

/// A claimer that looks at what is due, or waits for it; off the list when dropped.
pub struct Attentive(Arc<Shared>);

impl Drop for Attentive {
    fn drop(&mut self) {
        self.0.attentive.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One who delivers messages.
pub struct Delivers(Arc<Shared>);

impl Drop for Delivers {
    fn drop(&mut self) {
        self.0.deliverers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The hub of one process.
#[derive(Clone)]
pub struct Wakeups {
    shared: Arc<Shared>,
}

struct Shared {
    work: Notify,
    attentive: AtomicUsize,
    messages: Notify,
    deliverers: AtomicUsize,
    watched: Mutex<Watched>,
    watches: AtomicU64,
    news: broadcast::Sender<Wakeup>,
    outgoing: Mutex<Outgoing>,
    something_to_tell: Notify,
}

#[derive(Default)]
struct Outgoing {
    /// Executions that somebody else may claim.
    work: usize,
    /// There are messages to deliver.
    messages: bool,
    finished: HashSet<Uuid>,
    signalled: HashSet<Uuid>,
}

impl Outgoing {
    /// Things to tell of.
    fn len(&self) -> usize {
        self.work + usize::from(self.messages) + self.finished.len() + self.signalled.len()
    }
}

type Watched = HashMap<Uuid, Vec<Watcher>>;

/// One who waits.
struct Watcher {
    number: u64,
    sender: mpsc::Sender<News>,
}

impl Watcher {
    /// One piece of news may be waiting already: that is enough to make it look.
    fn tell(&self, news: News) {
        drop(self.sender.try_send(news));
    }
}

impl Shared {
    fn watched(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().expect("no holder of this lock panics")
    }

    /// Tells whoever waits here; false if nobody does.
    fn tell_watchers(&self, id: Uuid, news: &News) -> bool {
        let watched = self.watched();
        let Some(watchers) = watched.get(&id) else { return false };
        for watcher in watchers {
            watcher.tell(news.clone());
        }
        true
    }
}

impl Default for Wakeups {
    fn default() -> Self {
        let shared = Shared {
            work: Notify::new(),
            attentive: AtomicUsize::new(0),
            messages: Notify::new(),
            deliverers: AtomicUsize::new(0),
            watched: Mutex::default(),
            watches: AtomicU64::new(0),
            news: broadcast::channel(BACKLOG).0,
            outgoing: Mutex::default(),
            something_to_tell: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Wakeups {
    /// So many executions can be claimed. Other processes are told only if no claimer here is attentive.
    pub fn work(&self, executions: usize) {
        self.shared.work.notify_waiters();
        if self.shared.attentive.load(Ordering::Acquire) == 0 {
            self.more_work(executions);
        }
    }

    /// There is more to claim than this process takes.
    pub fn more_work(&self, executions: usize) {
        self.tell(|outgoing| outgoing.work += executions);
    }

    /// A claimer is about to look at what is due, and will hear of what comes.
    pub fn attentive(&self) -> Attentive {
        self.shared.attentive.fetch_add(1, Ordering::AcqRel);
        Attentive(Arc::clone(&self.shared))
    }

    /// There are messages to deliver. Other processes are told only if nobody here delivers any.
    pub fn messages(&self) {
        self.shared.messages.notify_one();
        if self.shared.deliverers.load(Ordering::Acquire) == 0 {
            self.tell(|outgoing| outgoing.messages = true);
        }
    }

    /// Somebody here delivers messages from now on; off the list when dropped.
    pub fn delivers(&self) -> Delivers {
        self.shared.deliverers.fetch_add(1, Ordering::AcqRel);
        Delivers(Arc::clone(&self.shared))
    }

    /// Completes when there are messages to deliver, also if that was said before.
    pub async fn messages_arrive(&self) {
        self.shared.messages.notified().await;
    }

    /// Waits for an execution's end.
    pub fn watch_end(&self, id: Uuid) -> EndWatch {
        let (sender, news) = mpsc::channel(1);
        let number = self.shared.watches.fetch_add(1, Ordering::Relaxed);
        self.shared.watched().entry(id).or_default().push(Watcher { number, sender });
        EndWatch { id, number, shared: Arc::clone(&self.shared), news }
    }

    /// Executions have ended that somebody waits for, here or in another process.
    pub fn ended(&self, all: Vec<Ended>) {
        let mut elsewhere = Vec::new();
        for ended in all {
            let id = ended.id;
            if !self.shared.tell_watchers(id, &News::Ended(ended)) {
                elsewhere.push(id);
            }
        }
        if !elsewhere.is_empty() {
            self.tell(|outgoing| outgoing.finished.extend(elsewhere));
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
            let outgoing = std::mem::take(&mut *self.outgoing());
            let things = outgoing.len();
            if let Err(error) = store.notify(outgoing).await {
                tracing::debug!(error = ?error, "other processes were not told; they poll");
            }
            if things > 1 {
                tokio::time::sleep(COALESCE).await;
            }
        }
    }

    fn tell_all_watchers(&self) {
        for watcher in self.shared.watched().values().flatten() {
            watcher.tell(News::Look);
        }
    }

    async fn receive_notes(&self, store: Store) {
        loop {
            if let Err(error) = self.listen(&store).await {
                tracing::warn!(error = ?error, "listening for notifications again in a moment");
            }
            self.shared.work.notify_waiters();
            self.announce(Wakeup::Missed);
            self.tell_all_watchers();
            tokio::time::sleep(RELISTEN).await;
        }
    }

    /// Listens until the connection breaks.
    async fn listen(&self, store: &Store) -> Result<(), StoreError> {
        let mut listener = PgListener::connect_with(&store.pool).await?;
        listener.eager_reconnect(false);
        let channels = Channels::of(store);
        listener
            .listen_all([
                channels.work.as_str(),
                &channels.messages,
                &channels.finished,
                &channels.signalled,
            ])
            .await?;
        while let Some(note) = listener.try_recv().await? {
            let ids = note.payload().split(',').filter_map(|id| id.parse().ok());
            if note.channel() == channels.work {
                self.shared.work.notify_waiters();
            } else if note.channel() == channels.messages {
                self.shared.messages.notify_one();
            } else if note.channel() == channels.finished {
                for id in ids {
                    self.shared.tell_watchers(id, &News::Look);
                }
            } else {
                self.announce(Wakeup::Signalled(ids.collect()));
            }
        }
        Ok(())
    }
}

struct Channels {
    work: String,
    messages: String,
    finished: String,
    signalled: String,
}

impl Channels {
    fn of(store: &Store) -> Self {
        let name = |subject: &str| format!("{}.{subject}", store.schema);
        Self {
            work: name("work"),
            messages: name("messages"),
            finished: name("finished"),
            signalled: name("signalled"),
        }
    }
}

impl Store {
    async fn notify(&self, outgoing: Outgoing) -> Result<(), StoreError> {
        let channels = Channels::of(self);
        let mut notes = Vec::new();
        if outgoing.work > 0 {
            notes.push((channels.work, String::new()));
        }
        if outgoing.messages {
            notes.push((channels.messages, String::new()));
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
