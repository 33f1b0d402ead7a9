// Package upload brings image files to a dataset of the service: in as few requests as the
// service allows, restartably, and each image once.
//
// [Examine] reads of a file what the service wants to know of it. [Uploader.Upload] uploads what a
// run has on record as planned, in batches of five hundred: two requests each, and the bytes
// straight to the storage, which no quota counts.
//
// The promise: a batch is in the state before a URL is asked for, every file that arrived is
// recorded with its checksum, and so is that the batch is about to be registered. A process
// that is killed anywhere leaves a record of what may have happened; the next one holds it
// against the dataset's listing ([Settle]) before anything is registered again. The service
// itself takes no path twice. URLs are secrets, and are never in the state.
package upload
