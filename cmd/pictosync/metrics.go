package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"pictosync/internal/atomicfile"
	"pictosync/store"
)

// writeMetrics writes what node_exporter's textfile collector reads: for each job
// of the configuration how it ended when it was last worked on, also where that
// was not this time.
func writeMetrics(ctx context.Context, path string, st *store.Store, jobs []*job, n *night) error {
	known, err := st.Jobs(ctx)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	metrics := newJobMetrics(registry)
	for _, j := range jobs {
		if record := known[j.name]; !record.StartedAt.IsZero() {
			metrics.set(record, j.name, j.kind, j.dataset())
		}
	}
	overall := func(name, help string, value float64) {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "pictosync_" + name, Help: help})
		g.Set(value)
		registry.MustRegister(g)
	}
	overall("last_run_timestamp_seconds", "When the jobs were last run.", float64(n.StartedAt.Unix()))
	if info, err := os.Stat(st.Path()); err == nil {
		overall("state_bytes", "Size of the state file.", float64(info.Size()))
	}
	return writeRegistry(path, registry)
}

// jobMetrics are the metrics that each job has.
type jobMetrics struct {
	lastRun, lastSuccess, status, unfinished, duration, images, annotations, requests, findings *prometheus.GaugeVec
}

func newJobMetrics(registry *prometheus.Registry) jobMetrics {
	metric := func(name, help string, more ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pictosync_job_" + name, Help: help}, append([]string{"job", "kind", "dataset"}, more...))
		registry.MustRegister(g)
		return g
	}
	return jobMetrics{
		lastRun:     metric("last_run_timestamp_seconds", "When the job was last worked on."),
		lastSuccess: metric("last_success_timestamp_seconds", "When the job last came to a good end."),
		status:      metric("last_exit_status", "Exit status of the job when it was last worked on; 0 is good."),
		unfinished:  metric("unfinished", "1 where the job was stopped and goes on in the next run."),
		duration:    metric("last_duration_seconds", "How long the job was last worked on."),
		images:      metric("images", "Images of the job's last run, by what became of them.", "result"),
		annotations: metric("annotations", "Annotations of the job's last run: before and now on the images saved, or in the backup.", "when"),
		requests:    metric("requests", "Requests of the job's last run."),
		findings:    metric("findings", "Findings of the job's last run."),
	}
}

// set sets the metrics of a job, by its labels, to what is on record of it.
func (m jobMetrics) set(record store.Job, labels ...string) {
	m.lastRun.WithLabelValues(labels...).Set(float64(record.StartedAt.Unix()))
	if !record.SucceededAt.IsZero() {
		m.lastSuccess.WithLabelValues(labels...).Set(float64(record.SucceededAt.Unix()))
	}
	m.status.WithLabelValues(labels...).Set(float64(record.Status))
	m.unfinished.WithLabelValues(labels...).Set(0)
	if record.Unfinished {
		m.unfinished.WithLabelValues(labels...).Set(1)
	}
	m.duration.WithLabelValues(labels...).Set(record.EndedAt.Sub(record.StartedAt).Seconds())
	var s struct {
		Images      map[string]int  `json:"images"`
		Annotations json.RawMessage `json:"annotations"`
		Requests    int             `json:"requests"`
		Findings    int             `json:"findings"`
	}
	if record.Summary == nil || json.Unmarshal(record.Summary, &s) != nil {
		return
	}
	for result, count := range s.Images {
		m.images.WithLabelValues(append(labels, result)...).Set(float64(count))
	}
	// A backup has one number of annotations, a sync two.
	var saved struct{ Previous, New int }
	var total float64
	if json.Unmarshal(s.Annotations, &total) == nil {
		m.annotations.WithLabelValues(append(labels, "backup")...).Set(total)
	} else if json.Unmarshal(s.Annotations, &saved) == nil {
		m.annotations.WithLabelValues(append(labels, "previous")...).Set(float64(saved.Previous))
		m.annotations.WithLabelValues(append(labels, "new")...).Set(float64(saved.New))
	}
	m.requests.WithLabelValues(labels...).Set(float64(s.Requests))
	m.findings.WithLabelValues(labels...).Set(float64(s.Findings))
}

// writeRegistry writes metrics to a file as text.
func writeRegistry(path string, registry *prometheus.Registry) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write the metrics: %w", err)
	}
	families, err := registry.Gather()
	if err != nil {
		return fmt.Errorf("write the metrics: %w", err)
	}
	file, err := atomicfile.Create(path, atomicfile.Shared)
	if err != nil {
		return err
	}
	defer file.Abort()
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(file, family); err != nil {
			return fmt.Errorf("write the metrics to %s: %w", path, err)
		}
	}
	return file.Close()
}
