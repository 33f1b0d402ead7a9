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
	labels := []string{"job", "kind", "dataset"}
	registry := prometheus.NewRegistry()
	perJob := func(name, help string, more ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pictosync_job_" + name, Help: help}, append(labels, more...))
		registry.MustRegister(g)
		return g
	}
	lastRun := perJob("last_run_timestamp_seconds", "When the job was last worked on.")
	lastSuccess := perJob("last_success_timestamp_seconds", "When the job last came to a good end.")
	status := perJob("last_exit_status", "Exit status of the job when it was last worked on; 0 is good.")
	unfinished := perJob("unfinished", "1 where the job was stopped and goes on in the next run.")
	duration := perJob("last_duration_seconds", "How long the job was last worked on.")
	images := perJob("images", "Images of the job's last run, by what became of them.", "result")
	annotations := perJob("annotations", "Annotations of the job's last run: before and now on the images saved, or in the backup.", "when")
	requests := perJob("requests", "Requests of the job's last run.")
	findings := perJob("findings", "Findings of the job's last run.")
	for _, j := range jobs {
		record := known[j.name]
		if record.StartedAt.IsZero() {
			continue
		}
		is := []string{j.name, j.kind, j.dataset()}
		lastRun.WithLabelValues(is...).Set(float64(record.StartedAt.Unix()))
		if !record.SucceededAt.IsZero() {
			lastSuccess.WithLabelValues(is...).Set(float64(record.SucceededAt.Unix()))
		}
		status.WithLabelValues(is...).Set(float64(record.Status))
		unfinished.WithLabelValues(is...).Set(0)
		if record.Unfinished {
			unfinished.WithLabelValues(is...).Set(1)
		}
		duration.WithLabelValues(is...).Set(record.EndedAt.Sub(record.StartedAt).Seconds())
		var s struct {
			Images      map[string]int  `json:"images"`
			Annotations json.RawMessage `json:"annotations"`
			Requests    int             `json:"requests"`
			Findings    int             `json:"findings"`
		}
		if record.Summary == nil || json.Unmarshal(record.Summary, &s) != nil {
			continue
		}
		for result, count := range s.Images {
			images.WithLabelValues(append(is, result)...).Set(float64(count))
		}
		var saved struct{ Previous, New int }
		var total float64
		if json.Unmarshal(s.Annotations, &total) == nil {
			annotations.WithLabelValues(append(is, "backup")...).Set(total)
		} else if json.Unmarshal(s.Annotations, &saved) == nil {
			annotations.WithLabelValues(append(is, "previous")...).Set(float64(saved.Previous))
			annotations.WithLabelValues(append(is, "new")...).Set(float64(saved.New))
		}
		requests.WithLabelValues(is...).Set(float64(s.Requests))
		findings.WithLabelValues(is...).Set(float64(s.Findings))
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
