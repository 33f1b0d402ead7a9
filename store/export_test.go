package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Exports are on record until their files are gone; files that nobody needs go.
func TestExports(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	d := listed(t, s, "a.jpg", "b.jpg")
	young, old := Export{Name: "young", Dataset: d, Run: "r", Holder: "save", Stage: ExportAsked, Remote: true, AskedAt: noon}, Export{Name: "old", Dataset: d, Run: "r", Holder: "save", Stage: ExportKept, AskedAt: noon.Add(-2 * time.Hour)}
	check(t, s.AddExport(ctx, young))
	check(t, s.AddExport(ctx, old))
	stray := Export{Name: "stray"}
	for _, e := range []Export{young, old, stray} {
		check(t, os.WriteFile(s.ExportFile(e), []byte("PK"), 0o600))
	}
	young.Stage, young.Remote = ExportKept, false
	check(t, s.SetExport(ctx, young))
	check(t, s.RemoveOldExports(ctx, noon.Add(-time.Hour)))
	left, err := filepath.Glob(s.Path() + ".export-*")
	if check(t, err); len(left) != 1 || left[0] != s.ExportFile(young) {
		t.Errorf("left %q", left)
	}
	known, err := s.Exports(ctx, d)
	if check(t, err); len(known) != 2 || known[0].Name != "young" || known[0].Stage != ExportKept || known[0].Remote || !known[0].AskedAt.Equal(noon) || known[0].Dataset != d || known[1].Name != "old" {
		t.Errorf("%+v", known)
	}
	check(t, s.ForgetExport(ctx, young))
	check(t, s.ForgetExport(ctx, old))
	known, err = s.Exports(ctx, Dataset{})
	left, globErr := filepath.Glob(s.Path() + ".export-*")
	if check(t, err); globErr != nil || len(known)+len(left) > 0 {
		t.Errorf("%+v, %q", known, left)
	}
}

// A reading counts until a save, another count or its age show that it may not be true.
func TestReadingsThatAreTrueStill(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	d := listed(t, s, "a.jpg", "b.jpg")
	images, err := s.ImagesByPath(ctx, d, []string{"a.jpg"})
	check(t, err)
	ref := images[0].Ref
	reading := Reading{ImageRef: ref, Count: images[0].AnnotationCount, Annotations: []byte(`[{"id":"1"}]`), Differs: true}
	check(t, s.AddReadings(ctx, []Reading{reading}, noon))
	got, ok, err := s.ReadingOf(ctx, ref, noon)
	if check(t, err); !ok || string(got.Annotations) != string(reading.Annotations) || !got.Differs {
		t.Errorf("%+v, %v", got, ok)
	}
	if _, ok, err = s.ReadingOf(ctx, ref, noon.Add(time.Second)); ok || err != nil {
		t.Errorf("an old one: %v, %v", ok, err)
	}
	differing, err := s.Differing(ctx, d)
	if check(t, err); len(differing) != 1 || differing[ref].Hash != hashOf(string(reading.Annotations)) || !differing[ref].ReadAt.Equal(noon) {
		t.Errorf("differing: %v", differing)
	}
	reading.Differs = false // read again, and the same
	check(t, s.AddReadings(ctx, []Reading{reading}, noon.Add(time.Minute)))
	if differing, err = s.Differing(ctx, d); err != nil || len(differing) > 0 {
		t.Errorf("differing after it was read again: %v, %v", differing, err)
	}
	if _, ok, err = s.ReadingOf(ctx, ref, noon.Add(time.Minute)); !ok || err != nil {
		t.Errorf("read again: %v, %v", ok, err)
	}
	check(t, s.ForgetReadings(ctx, d, noon.Add(time.Minute)))
	if _, ok, err = s.ReadingOf(ctx, ref, noon); ok || err != nil {
		t.Errorf("forgotten: %v, %v", ok, err)
	}
	other := Reading{ImageRef: ref, Count: images[0].AnnotationCount + 1, Annotations: []byte(`[]`)}
	check(t, s.AddReadings(ctx, []Reading{other}, noon))
	if _, ok, err = s.ReadingOf(ctx, ref, noon); ok || err != nil {
		t.Errorf("of another count: %v, %v", ok, err)
	}
	check(t, s.DropReadings(ctx))
	var left int
	check(t, s.reader.QueryRow(`SELECT count(*) FROM readings`).Scan(&left))
	if left > 0 {
		t.Error("readings that nothing needs are kept")
	}
	run, _, err := s.OpenRun(ctx, d, "export", "/out", noon)
	check(t, err)
	check(t, s.AddReadings(ctx, []Reading{reading}, noon))
	check(t, s.DropReadings(ctx))
	if _, ok, err = s.ReadingOf(ctx, ref, noon); !ok || err != nil {
		t.Errorf("of a dataset that run %s backs up: %v, %v", run.ID, ok, err)
	}
}

// What the service said of a quota is kept.
func TestQuotaIsKept(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	if _, ok, err := s.Quota(ctx, "account"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	for _, n := range []int{2000, 5000} {
		check(t, s.PutQuota(ctx, "account", SaidQuota{Requests: n, Per: time.Hour, At: noon}))
	}
	if q, ok, err := s.Quota(ctx, "account"); !ok || err != nil || q.Requests != 5000 || q.Per != time.Hour || !q.At.Equal(noon) {
		t.Errorf("%+v, %v, %v", q, ok, err)
	}
}
