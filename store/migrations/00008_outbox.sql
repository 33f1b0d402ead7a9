-- The bytes of a batch that is on its way are in a file beside the state while a
-- process works on it, and in body when none does.

-- +goose Up

ALTER TABLE batches ADD COLUMN body_at INTEGER;   -- where they are in that file
ALTER TABLE batches ADD COLUMN body_size INTEGER;
ALTER TABLE batches ADD COLUMN body_sum INTEGER;  -- their CRC-32C
