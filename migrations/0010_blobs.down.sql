alter table namespaces drop column blob_bytes;
drop table blob_pieces;
drop table blobs;
