//! The system's figures, as fresh as they are cheap. The queue and the dead letters are counted for them: where those are many,
//! those who ask get the last figures, and somebody reads them again behind their backs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::figures::Figures;
use store::{Store, StoreError};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Executions that are counted for everybody who asks: a few milliseconds.
const CHEAP: i64 = 50_000;
/// Figures of a longer queue are used for so long, and waited for when they are older than the second.
const FRESH: Duration = Duration::from_secs(5);
const STALE: Duration = Duration::from_mins(1);

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct FiguresCache {
    store: Store,
    last: Arc<Mutex<Option<Sample>>>,
    /// Held by who reads them again.
    reading: Arc<Mutex<()>>,
}

#[derive(Clone, Debug)]
struct Sample {
    figures: Arc<Figures>,
    at: Instant,
}

impl Sample {
    fn is_cheap(&self) -> bool {
        let Figures { due, leased, later, dead_letters, .. } = *self.figures;
        due + leased + later + dead_letters < CHEAP
    }
}

impl FiguresCache {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, last: Arc::default(), reading: Arc::default() }
    }

    pub(crate) async fn get(&self) -> Result<Arc<Figures>, StoreError> {
        let last = self.last.lock().await.clone();
        match last {
            Some(sample) if !sample.is_cheap() && sample.at.elapsed() < STALE => {
                if sample.at.elapsed() >= FRESH
                    && let Ok(turn) = Arc::clone(&self.reading).try_lock_owned()
                {
                    let cache = self.clone();
                    tokio::spawn(async move { cache.read(turn).await });
                }
                Ok(sample.figures)
            }
            _ => self.read(Arc::clone(&self.reading).lock_owned().await).await,
        }
    }

    async fn read(&self, _turn: OwnedMutexGuard<()>) -> Result<Arc<Figures>, StoreError> {
        let began = Instant::now();
        let figures = Arc::new(self.store.figures().await?);
        let sample = Sample { figures: Arc::clone(&figures), at: began };
        *self.last.lock().await = Some(sample);
        Ok(figures)
    }
}
