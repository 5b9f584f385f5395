drop function bring_back(text, uuid[]);
drop function gone_page(text, timestamptz, uuid, integer);
