//! Whose turn it is: a bounded number at a time, shared fairly between namespaces and between the plugins of one.
//!
//! ```text
//!   free 2        round: acme ─▶ beta ─▶ corp          each release asks the next namespace in the round,
//!                          │       │                   and of it the next plugin that is below its share
//!                  plugins a, b    c
//! ```
//!
//! A semaphore would serve in order of arrival: whoever asks most often would be served most.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::oneshot;

/// How many turns one namespace, and one plugin of it, may hold at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Of all plugins of the namespace together.
    pub namespace: usize,
    /// Of one plugin.
    pub plugin: usize,
}

impl Share {
    /// No bound but the number of turns that there are.
    pub const WHOLE: Self = Self { namespace: usize::MAX, plugin: usize::MAX };
}

/// So many namespaces, and plugins of each, are remembered though nothing of them runs or waits: the next call finds its
/// place made.
const KEPT_IDLE: usize = 64;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Mutex<Line>>);

/// The right to go; given back when dropped.
pub(crate) struct Turn {
    turns: Turns,
    namespace: Arc<str>,
    plugin: Arc<str>,
}

struct Line {
    free: usize,
    namespaces: HashMap<Arc<str>, Namespace>,
    /// Those that somebody waits in, in the order in which they are served.
    round: VecDeque<Arc<str>>,
}

#[derive(Default)]
struct Namespace {
    active: usize,
    plugins: HashMap<Arc<str>, Lane>,
    round: VecDeque<Arc<str>>,
}

#[derive(Default)]
struct Lane {
    active: usize,
    waiting: VecDeque<Waiter>,
}

struct Waiter {
    share: Share,
    go: oneshot::Sender<Turn>,
}

impl Turns {
    pub(crate) fn new(count: usize) -> Self {
        let line = Line { free: count, namespaces: HashMap::new(), round: VecDeque::new() };
        Self(Arc::new(Mutex::new(line)))
    }

    /// Waits for a turn. Dropping the future gives up the place in the line.
    pub(crate) async fn take(&self, namespace: &str, plugin: &Arc<str>, share: Share) -> Turn {
        let (namespace, plugin): (Arc<str>, _) = (namespace.into(), Arc::clone(plugin));
        let waiting = self.line().enter(&namespace, &plugin, share);
        match waiting {
            None => Turn { turns: self.clone(), namespace, plugin },
            Some(waiting) => waiting.await.expect("a waiter is told to go or has dropped its end"),
        }
    }

    /// Turns that nobody holds.
    pub(crate) fn free(&self) -> usize {
        self.line().free
    }

    fn give_back(&self, namespace: &Arc<str>, plugin: &Arc<str>) {
        let mut line = self.line();
        line.leave(namespace, plugin);
        let mut going = Vec::new();
        while let Some((namespace, plugin, go)) = line.next() {
            going.push((Turn { turns: self.clone(), namespace, plugin }, go));
        }
        drop(line);
        // Outside the lock: a turn whose waiter has gone comes right back here.
        for (turn, go) in going {
            drop(go.send(turn));
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.give_back(&self.namespace, &self.plugin);
    }
}

impl Line {
    /// Goes at once, or stands in the line.
    fn enter(
        &mut self,
        namespace: &Arc<str>,
        plugin: &Arc<str>,
        share: Share,
    ) -> Option<oneshot::Receiver<Turn>> {
        let tenant = self.namespaces.entry(Arc::clone(namespace)).or_default();
        let lane = tenant.plugins.entry(Arc::clone(plugin)).or_default();
        let within = tenant.active < share.namespace && lane.active < share.plugin;
        if self.free > 0 && within && lane.waiting.is_empty() {
            self.free -= 1;
            tenant.active += 1;
            lane.active += 1;
            return None;
        }
        if lane.waiting.is_empty() {
            if tenant.round.is_empty() {
                self.round.push_back(Arc::clone(namespace));
            }
            tenant.round.push_back(Arc::clone(plugin));
        }
        let (go, waiting) = oneshot::channel();
        lane.waiting.push_back(Waiter { share, go });
        Some(waiting)
    }

    fn leave(&mut self, namespace: &Arc<str>, plugin: &Arc<str>) {
        self.free += 1;
        let Some(tenant) = self.namespaces.get_mut(namespace) else { return };
        tenant.active -= 1;
        if let Some(lane) = tenant.plugins.get_mut(plugin) {
            lane.active -= 1;
            if tenant.plugins.len() > KEPT_IDLE && tenant.plugins[plugin].is_idle() {
                tenant.plugins.remove(plugin);
            }
        }
        if self.namespaces.len() > KEPT_IDLE && self.namespaces[namespace].is_idle() {
            self.namespaces.remove(namespace);
        }
    }

    /// Who goes next, and its turn is counted.
    fn next(&mut self) -> Option<(Arc<str>, Arc<str>, oneshot::Sender<Turn>)> {
        if self.free == 0 {
            return None;
        }
        for _ in 0..self.round.len() {
            let namespace = self.round.pop_front()?;
            let tenant = self.namespaces.get_mut(&namespace)?;
            let found = tenant.next();
            if !tenant.round.is_empty() {
                self.round.push_back(Arc::clone(&namespace));
            }
            if let Some((plugin, go)) = found {
                self.free -= 1;
                return Some((namespace, plugin, go));
            }
        }
        None
    }
}

impl Namespace {
    fn is_idle(&self) -> bool {
        self.active == 0 && self.round.is_empty()
    }

    fn next(&mut self) -> Option<(Arc<str>, oneshot::Sender<Turn>)> {
        for _ in 0..self.round.len() {
            let plugin = self.round.pop_front()?;
            let lane = self.plugins.get_mut(&plugin)?;
            let found = lane.next(self.active);
            if !lane.waiting.is_empty() {
                self.round.push_back(Arc::clone(&plugin));
            }
            if let Some(go) = found {
                self.active += 1;
                return Some((plugin, go));
            }
        }
        None
    }
}

impl Lane {
    fn next(&mut self, active_in_namespace: usize) -> Option<oneshot::Sender<Turn>> {
        // Those who have left do not count.
        while self.waiting.front().is_some_and(|waiter| waiter.go.is_closed()) {
            self.waiting.pop_front();
        }
        let share = self.waiting.front()?.share;
        if active_in_namespace >= share.namespace || self.active >= share.plugin {
            return None;
        }
        self.active += 1;
        self.waiting.pop_front().map(|waiter| waiter.go)
    }

    fn is_idle(&self) -> bool {
        self.active == 0 && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures::{FutureExt, future::BoxFuture};

    use super::*;

    fn wait(
        turns: &Turns,
        namespace: &'static str,
        plugin: &'static str,
        share: Share,
    ) -> BoxFuture<'static, Turn> {
        let turns = turns.clone();
        let mut waiting = async move { turns.take(namespace, &plugin.into(), share).await }.boxed();
        assert!(waiting.as_mut().now_or_never().is_none(), "it has to wait");
        waiting
    }

    fn go(mut waiting: Pin<&mut BoxFuture<'static, Turn>>) -> Option<Turn> {
        waiting.as_mut().now_or_never()
    }

    #[tokio::test]
    async fn namespaces_take_turns_however_many_wait_in_one() {
        let turns = Turns::new(1);
        let first = turns.take("greedy", &"p".into(), Share::WHOLE).await;
        let mut greedy: Vec<_> =
            (0..3).map(|_| wait(&turns, "greedy", "p", Share::WHOLE)).collect();
        let mut modest = wait(&turns, "modest", "q", Share::WHOLE);
        drop(first);
        let second = go(Pin::new(&mut greedy[0])).expect("the longest wait ends first");
        drop(second);
        assert!(go(Pin::new(&mut greedy[1])).is_none());
        assert!(go(Pin::new(&mut modest)).is_some(), "the other namespace is next");
    }

    #[tokio::test]
    async fn plugins_of_a_namespace_take_turns() {
        let turns = Turns::new(1);
        let first = turns.take("n", &"a".into(), Share::WHOLE).await;
        let mut more = wait(&turns, "n", "a", Share::WHOLE);
        let mut again = wait(&turns, "n", "a", Share::WHOLE);
        let mut other = wait(&turns, "n", "b", Share::WHOLE);
        drop(first);
        drop(go(Pin::new(&mut more)).expect("the longest wait ends first"));
        assert!(go(Pin::new(&mut again)).is_none());
        assert!(go(Pin::new(&mut other)).is_some());
    }

    #[tokio::test]
    async fn nobody_gets_more_than_its_share_and_nobody_waits_for_those_who_are_at_theirs() {
        let turns = Turns::new(3);
        let share = Share { namespace: 2, plugin: 1 };
        let _a = turns.take("n", &"a".into(), share).await;
        let mut second_a = wait(&turns, "n", "a", share);
        let b = turns.take("n", &"b".into(), share).await;
        let mut c = wait(&turns, "n", "c", share);
        let other = turns.take("m", &"a".into(), share).await;
        drop(other);
        assert!(go(Pin::new(&mut second_a)).is_none());
        assert!(go(Pin::new(&mut c)).is_none());
        drop(b);
        assert!(go(Pin::new(&mut second_a)).is_none());
        assert!(go(Pin::new(&mut c)).is_some());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_is_passed_over() {
        let turns = Turns::new(1);
        let first = turns.take("n", &"a".into(), Share::WHOLE).await;
        let gone = wait(&turns, "n", "a", Share::WHOLE);
        let mut next = wait(&turns, "m", "a", Share::WHOLE);
        drop(gone);
        drop(first);
        drop(go(Pin::new(&mut next)).expect("its turn"));
        let line = turns.line();
        assert_eq!((line.free, line.round.len()), (1, 0));
        assert!(line.namespaces.values().all(Namespace::is_idle));
    }

    #[tokio::test]
    async fn what_is_remembered_of_the_idle_is_bounded() {
        let turns = Turns::new(2);
        for number in 0..3 * KEPT_IDLE {
            let own = number.to_string();
            drop(turns.take(&own, &"p".into(), Share::WHOLE).await);
            drop(turns.take("one", &own.into(), Share::WHOLE).await);
        }
        let line = turns.line();
        assert!(line.namespaces.len() <= KEPT_IDLE + 1, "{}", line.namespaces.len());
        assert!(line.namespaces["one"].plugins.len() <= KEPT_IDLE + 1);
    }

    #[tokio::test]
    async fn a_turn_that_is_granted_and_not_taken_comes_back() {
        let turns = Turns::new(1);
        let first = turns.take("n", &"a".into(), Share::WHOLE).await;
        let granted = wait(&turns, "n", "a", Share::WHOLE);
        drop(first);
        assert_eq!(turns.free(), 0);
        drop(granted);
        assert_eq!(turns.free(), 1);
    }
}
