-- The answers that are expected to a batch are put down when it is committed, and
-- corrected where the service says otherwise. Before they were written with the answer,
-- for every image; status and ended_at of batch_images were too, and are empty since:
-- the batch has its end.

-- +goose Up

UPDATE batch_images SET previous_count = listed_count, new_count = count
WHERE batch IN (SELECT id FROM batches WHERE state = 'open');
