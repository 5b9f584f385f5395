drop table finished_minutes;
