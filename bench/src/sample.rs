//! One repetition's figures, and what several of them say together.

use serde::Serialize;

/// What one repetition gave.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sample {
    pub(crate) executions: u64,
    pub(crate) seconds: f64,
    pub(crate) executions_per_second: f64,
    pub(crate) steps_per_second: f64,
    /// Of the calls of the load, in milliseconds: p50, p95, p99.
    pub(crate) latency_ms: Option<[f64; 3]>,
    /// Milliseconds of CPU per execution.
    pub(crate) cpu_ms: Cpu,
    pub(crate) wal_bytes_per_execution: f64,
    pub(crate) transactions_per_execution: f64,
    pub(crate) api_peak_mb: f64,
    pub(crate) worker_peak_mb: f64,
    /// Figures that only one workload has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) more: Vec<(String, f64)>,
}

/// CPU by role.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cpu {
    pub(crate) api: f64,
    pub(crate) workers: f64,
    pub(crate) postgres: f64,
    pub(crate) load: f64,
}

impl Cpu {
    /// Ours and Postgres's: what an execution costs whoever runs StateFlow.
    pub(crate) fn served(&self) -> f64 {
        self.api + self.workers + self.postgres
    }

    pub(crate) fn since(self, before: Self, share: f64) -> Self {
        Self {
            api: (self.api - before.api) * share,
            workers: (self.workers - before.workers) * share,
            postgres: (self.postgres - before.postgres) * share,
            load: (self.load - before.load) * share,
        }
    }
}

/// The quantiles of p50, p95 and p99, by the nearest rank.
pub(crate) fn quantiles(mut values: Vec<f64>) -> Option<[f64; 3]> {
    values.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        let rank = (values.len() * percent).div_ceil(100).max(1);
        values.get(rank - 1).copied()
    };
    Some([at(50)?, at(95)?, at(99)?])
}

/// The least, the middle and the most of a figure over the repetitions.
pub(crate) fn spread(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> [f64; 3] {
    spread_of(samples.iter().map(figure).collect())
}

/// The least, the middle and the most.
pub(crate) fn spread_of(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let middle = match values.len() {
        0 => return [0.0; 3],
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    };
    [values[0], middle, values[values.len() - 1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_take_the_nearest_rank() {
        let hundred = (1..=100).map(f64::from).collect();
        assert_eq!(quantiles(hundred), Some([50.0, 95.0, 99.0]));
        assert_eq!(quantiles(vec![7.0]), Some([7.0; 3]));
        assert_eq!(quantiles(vec![]), None);
    }

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        let sample = |executions| Sample { executions, ..Sample::default() };
        let samples = [sample(4), sample(1), sample(2), sample(3)];
        let of = |samples: &[Sample]| spread(samples, |it| it.executions as f64).map(f64::to_bits);
        assert_eq!(of(&samples), [1.0, 2.5, 4.0].map(f64::to_bits));
        assert_eq!(of(&[]), [0.0; 3].map(f64::to_bits));
    }
}
