-- Takes live versions away again: the newest is live.
alter table workflows
    drop column live_version,
    drop column ramp_version,
    drop column ramp_percent,
    drop column revision;
