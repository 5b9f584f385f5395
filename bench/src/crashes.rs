//! Kills a worker again and again while executions are started.

use std::time::Duration;

use anyhow::Result;

use crate::stage::Stage;

const EVERY: Duration = Duration::from_secs(2);

/// Kills a worker every two seconds until `starting` is done and the queue is empty. The leases of the killed lapse
/// after their usual time; what comes after is driven by the workers that follow.
pub(crate) async fn during(
    stage: &mut Stage<'_>,
    starting: impl Future<Output = Result<()>>,
) -> Result<()> {
    tokio::pin!(starting);
    let mut started = false;
    let mut kills = tokio::time::interval(EVERY);
    kills.tick().await;
    loop {
        tokio::select! {
            outcome = &mut starting, if !started => {
                outcome?;
                started = true;
            }
            _ = kills.tick() => {
                if started {
                    return Ok(());
                }
                stage.crash_a_worker().await?;
            }
        }
    }
}
