drop function blocks_of(text);
drop function bring_back(text, timestamptz, bigint, bigint);
drop function messages_stay(text, bigint, bigint, interval);
drop function executions_stay(text, uuid, bigint, bigint, interval, interval, interval, interval);
