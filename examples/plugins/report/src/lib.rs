//! Writes a report that is too large for JSON, waits until somebody has signed it off, and answers where it is.
//!
//! While it waits it costs nothing: no worker, no slot, no memory. What it needs to go on is the report's reference.

use std::io::{BufWriter, Write};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stateflow_plugin::{Call, Error, blob, log, progress};

/// What the step is given.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    /// How many rows the report has.
    rows: u32,
    /// The event that signs it off; its data has the report's reference as `report`.
    event: String,
    /// How long that may take, in milliseconds.
    timeout_ms: u64,
    /// How long to let the report lie before, in milliseconds.
    #[serde(default)]
    rest_ms: u64,
}

/// What the step answers.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Output {
    /// What stands for the report.
    report: String,
    /// How large it is.
    bytes: u64,
    /// The event that signed it off, as JSON text.
    signed_off: String,
}

/// What it leaves behind.
#[derive(Deserialize, Serialize)]
enum State {
    /// The report is written, and lies.
    Written(String),
    /// Somebody has been asked to sign it off.
    Asked(String),
}

fn run(_: &Call, config: Config) -> Result<Output, Error> {
    let Some(resumed) = progress::resumed()? else {
        let report = write(config.rows)?;
        let rest = Duration::from_millis(config.rest_ms);
        return Err(progress::suspend_for(&State::Written(report), rest));
    };
    match resumed.state {
        State::Written(report) => {
            let meant = format!("event.data.report == '{report}'");
            let timeout = Duration::from_millis(config.timeout_ms);
            Err(progress::suspend_for_event(
                &State::Asked(report),
                &config.event,
                Some(&meant),
                timeout,
            ))
        }
        State::Asked(report) => {
            let unsigned = || Error::permanent("not-signed-off", "nobody signed it off in time");
            let signed_off = resumed.event.ok_or_else(unsigned)?;
            let bytes = blob::open(&report)?.size();
            Ok(Output { report, bytes, signed_off })
        }
    }
}

fn write(rows: u32) -> Result<String, Error> {
    let mut rest = BufWriter::with_capacity(64 << 10, blob::Writer::new());
    for row in 0..rows {
        if row % 1_000 == 0 {
            progress::note(&format!("{row} of {rows} rows"));
        }
        writeln!(rest, "{row},{}", u64::from(row) * u64::from(row))?;
    }
    let written = rest.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    let report = written.finish()?.reference();
    log::line(log::Level::Info, "the report is written", &[("report", &report)]);
    Ok(report)
}

stateflow_plugin::step! {
    name: "demo/report",
    version: "1.0.0",
    description: "Writes a report, and waits until it is signed off",
    run: run,
}
