//! The soak's rows as small curves above each other, in one SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::soak::{COLUMNS, Row};

const WIDTH: u32 = 900;
const HEIGHT_OF_EACH: u32 = 130;

/// Draws them.
pub(crate) fn draw(path: &Path, rows: &[Row]) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("cannot draw {}: {error}", path.display());
    let height = HEIGHT_OF_EACH * u32::try_from(COLUMNS.len())?;
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    let end = rows.last().map_or(1.0, |(seconds, _)| *seconds);
    for (column, area) in root.split_evenly((COLUMNS.len(), 1)).iter().enumerate() {
        let values = rows.iter().map(|(seconds, columns)| (*seconds, columns[column]));
        let top = values.clone().map(|(_, value)| value).fold(1.0, f64::max) * 1.1;
        let mut chart = ChartBuilder::on(area)
            .caption(COLUMNS[column], ("sans-serif", 15))
            .margin(6)
            .x_label_area_size(20)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..end, 0.0..top)
            .map_err(|error| failed(&error))?;
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(WHITE).x_labels(10).y_labels(4);
        mesh.draw().map_err(|error| failed(&error))?;
        chart.draw_series(LineSeries::new(values, &BLUE)).map_err(|error| failed(&error))?;
    }
    root.present().map_err(|error| failed(&error))
}
