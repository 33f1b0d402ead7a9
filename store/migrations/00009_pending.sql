-- What a plan leaves to be dealt with is found in the order of the plan itself: an
-- index of it was written once for each image by the plan, and again by the answer.

-- +goose Up

DROP INDEX items_pending;
