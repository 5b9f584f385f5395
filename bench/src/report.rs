//! The table for people and the document for programs.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::machine::Machine;
use crate::sample::{Sample, spread};

/// All repetitions of a row.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) samples: Vec<Sample>,
}

/// A whole run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) postgres_settings: Vec<String>,
    pub(crate) arguments: Vec<String>,
    pub(crate) in_flight: u64,
    pub(crate) rows: Vec<Row>,
}

const HEADINGS: [&str; 11] = [
    "workload",
    "executions/s",
    "min–max",
    "steps/s",
    "p50 / p95 / p99 ms",
    "CPU ms",
    "api + workers + postgres (load)",
    "WAL bytes",
    "transactions",
    "peak MB api, workers",
    "more",
];

impl Report {
    /// Medians, with the spread of the rate.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY).set_header(HEADINGS);
        for row in &self.rows {
            table.add_row(row.cells());
        }
        for column in table.column_iter_mut().skip(1).take(9) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let of = |figure: fn(&Sample) -> f64| spread(&self.samples, figure);
        let middle = |figure: fn(&Sample) -> f64| of(figure)[1];
        let rate = of(|it| it.executions_per_second);
        let latency = |at: usize| {
            spread(&self.samples, |it| it.latency_ms.map_or(0.0, |latency| latency[at]))[1]
        };
        let has_latency = self.samples.iter().any(|it| it.latency_ms.is_some());
        vec![
            self.name.clone(),
            format!("{:.0}", rate[1]),
            format!("{:.0}–{:.0}", rate[0], rate[2]),
            format!("{:.0}", middle(|it| it.steps_per_second)),
            if has_latency {
                format!("{:.2} / {:.2} / {:.2}", latency(0), latency(1), latency(2))
            } else {
                String::new()
            },
            format!("{:.3}", middle(|it| it.cpu_ms.served())),
            format!(
                "{:.3} + {:.3} + {:.3} ({:.3})",
                middle(|it| it.cpu_ms.api),
                middle(|it| it.cpu_ms.workers),
                middle(|it| it.cpu_ms.postgres),
                middle(|it| it.cpu_ms.load)
            ),
            format!("{:.0}", middle(|it| it.wal_bytes_per_execution)),
            format!("{:.3}", middle(|it| it.transactions_per_execution)),
            format!("{:.0}, {:.0}", middle(|it| it.api_peak_mb), middle(|it| it.worker_peak_mb)),
            self.more(),
        ]
    }

    fn more(&self) -> String {
        let Some(first) = self.samples.first() else { return String::new() };
        let figures = first.more.iter().enumerate().map(|(at, (name, _))| {
            let [_, middle, _] = spread(&self.samples, |it| it.more[at].1);
            format!("{name} {middle:.2}")
        });
        figures.collect::<Vec<_>>().join("\n")
    }
}
