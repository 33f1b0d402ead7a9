package report

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"slices"

	"pictosync/store"
	"pictosync/view"
)

// maxFile bounds a page in one file, in bytes, whatever the run.
const maxFile = 5_000_000

// FileOptions say what is on a page in one file.
type FileOptions struct {
	PageOptions
	Drawn int // images to draw on the page, at most
}

// Filed says what a page in one file holds.
type Filed struct {
	Bytes  int `json:"bytes"`
	Drawn  int `json:"drawn"`  // images with their labels
	Change int `json:"images"` // images that change
	Unread int `json:"unread"` // images of a plan that are drawn without what goes, which is not known
}

// File makes the page of the run in one file, that needs nothing else: the images that
// change most are drawn on it, as many as there is room for.
func (r *Run) File(ctx context.Context, o FileOptions) ([]byte, Filed, error) {
	k, err := r.rank(ctx)
	if err != nil {
		return nil, Filed{}, err
	}
	o.Looked = max(o.Looked, o.Drawn)
	report, looked, err := r.Page(ctx, o.PageOptions)
	if err != nil {
		return nil, Filed{}, err
	}
	held, err := r.heldPictures(ctx, k)
	if err != nil {
		return nil, Filed{}, err
	}
	changing, unread := 0, 0
	drawn := append(slices.Clone(looked[:min(o.Drawn, len(looked))]), held...)
	page := func() view.Page {
		return view.Page{Title: r.title(), Inline: true, Report: report, Footer: "Run " + r.Run.ID + ". Made by pictosync; this page is whole in itself and loads nothing."}
	}
	size := func() (int, error) {
		var b bytes.Buffer
		err := page().Write(&b)
		return b.Len(), err
	}
	base, err := size()
	if err != nil {
		return nil, Filed{}, err
	}
	room := maxFile - base - 100_000 // the links to the images come later
	anchors := make(map[int64]string)
	grid := &view.Grid{}
	for _, s := range drawn {
		part, tile := r.parts(s)
		n, err := view.Weigh(part, tile)
		if err != nil {
			return nil, Filed{}, err
		}
		if n > room {
			// Without its photo there may be room for the labels alone.
			s.file = ""
			part, tile = r.parts(s)
			if n, err = view.Weigh(part, tile); err != nil {
				return nil, Filed{}, err
			}
		}
		if n > room {
			continue
		}
		room -= n
		anchors[s.brief.Seq] = part.Anchor
		if slices.Contains([]store.ItemOutcome{store.ItemPending, store.ItemSaved, store.ItemCleared}, s.brief.Outcome) {
			changing++
			unread += r.unread([]seen{s})
		}
		report.Pictures = append(report.Pictures, part)
		grid.Tiles = append(grid.Tiles, tile)
	}
	if len(grid.Tiles) > 0 {
		report.Grid = grid
	}
	if all := len(k.changing); all > changing {
		report.PicturesNote = fmt.Sprintf("%s of %s that change are drawn on this page, those that change most; `pictosync ui` shows them all.",
			view.Thousands(changing), view.Plural(all, "image"))
	}
	for i := range report.Most {
		if i < len(looked) {
			if a := anchors[looked[i].brief.Seq]; a != "" {
				report.Most[i].Href = "#" + a
			}
		}
	}
	var b bytes.Buffer
	if err := page().Write(&b); err != nil {
		return nil, Filed{}, err
	}
	return b.Bytes(), Filed{Bytes: b.Len(), Drawn: changing, Change: len(k.changing), Unread: unread}, nil
}

// heldPictures are a few of the images that were left alone.
func (r *Run) heldPictures(ctx context.Context, k *ranking) (held []seen, err error) {
	const few = 6
	for _, b := range k.held[:min(few, len(k.held))] {
		s := seen{brief: b}
		if s.picture, s.file, err = r.Picture(ctx, b.Seq); err != nil {
			return nil, err
		}
		if s.picture.BeforeKnown || s.picture.AfterKnown {
			held = append(held, s)
		}
	}
	return held, nil
}

// parts are an image on the page and its tile.
func (r *Run) parts(s seen) (*view.ImagePart, view.Tile) {
	p := s.picture
	w, h := p.Width, p.Height
	p.Grain = float64(max(w, h)) / 1600
	large, small := "", ""
	note := "No image file was found, so the labels are drawn on an empty frame."
	if s.file != "" {
		large, note = r.embedded(s.file, 720), ""
		small = r.embedded(s.file, 240)
		if large == "" {
			note = "The image file cannot be shown."
		}
	}
	part := view.NewImage(p, large, note)
	part.Anchor = fmt.Sprintf("image-%d", s.brief.Seq)
	part.Title = view.Text(p.Path)
	about := aboutChange(s)
	if p.Outcome != "" && p.Reason != "" {
		about = p.Outcome
	}
	return part, view.NewTile(p, "#"+part.Anchor, small, about)
}

// embedded is a picture as part of a page, "" where it cannot be shown.
func (r *Run) embedded(file string, side int) string {
	data, err := r.Photos.Thumbnail(file, side)
	if err != nil {
		return ""
	}
	return "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(data)
}
