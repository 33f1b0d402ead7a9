package worker

import (
	"pictosync/dataset"
	"pictosync/pictograph"
	"pictosync/quota"
	"pictosync/store"
)

// Cost is how many requests a planned run takes at least, its own listing of
// listing requests included, and how long they take at a rate.
func Cost(s store.PlanSummary, classes, listing int, backup BackupPolicy, reads dataset.ReadPolicy, q quota.Quota) (requests int, seconds float64) {
	requests = listing
	if classes > 0 {
		requests++
	}
	requests += 2 * ((s.Uploads + pictograph.MaxUploads - 1) / pictograph.MaxUploads)
	byCount := (s.Saves + maxBatchImages - 1) / maxBatchImages
	byBytes := (s.Bytes + s.Saves*entryOverhead + defaultBatchBytes - 1) / defaultBatchBytes
	requests += max(byCount, byBytes)
	switch backup {
	case BackupAuto:
		requests += reads.Cost(s.Backups)
	case BackupAlways:
		requests += reads.Cost(s.Saves)
	}
	if q.Requests > 0 {
		seconds = float64(requests) * q.Per.Seconds() / float64(q.Requests)
	}
	return requests, seconds
}
