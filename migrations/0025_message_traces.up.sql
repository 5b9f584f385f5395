-- The span of whoever sent an event, as a W3C `traceparent`: what the event starts goes on in that trace.
alter table messages add column traceparent text;
