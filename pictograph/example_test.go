package pictograph_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"pictosync/pictograph"
)

// pretend is a service that answers as the examples need it.
func pretend() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(body), "unicorn"):
			w.WriteHeader(http.StatusUnprocessableEntity)
			io.WriteString(w, `{"error":{"code":"validation_error","message":"invalid annotations","details":{"errors":[{"loc":["body","annotations",0,"name"],"msg":"the dataset has no class unicorn"}]}}}`)
		case strings.HasSuffix(r.URL.Path, "/bulk"):
			io.WriteString(w, `{"saved":[{"image_id":"id-1","previous_count":4,"new_count":1,"status":"annotate"}],"failed":[{"image_id":"id-2","error":"image not found"}]}`)
		case r.Method == http.MethodPost:
			io.WriteString(w, `{"image_id":"id-1","previous_count":2,"new_count":1,"status":"annotate"}`)
		case strings.Contains(r.URL.Path, "/images/"):
			io.WriteString(w, `{"data":[{"id":"id-1","filename":"a.jpg","directory_path":"/val","width":640,"height":480,"annotation_count":2},{"id":"id-2","filename":"b.jpg","directory_path":"/","annotation_count":0}],"pagination":{"has_more":false}}`)
		default:
			io.WriteString(w, `{"annotations":[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":10,"y":20,"w":30,"h":40}},{"id":"2","name":"nose","type":"keypoint","keypoint":{"x":5,"y":6},"instance_id":1}]}`)
		}
	}))
}

func connect(server *httptest.Server) *pictograph.Client {
	client, err := pictograph.New(pictograph.Config{BaseURL: server.URL, APIKey: "pk_live_example"})
	if err != nil {
		panic(err)
	}
	return client
}

// Read the annotations of an image, by dataset and path.
func ExampleClient_Annotations() {
	server := pretend()
	defer server.Close()
	client := connect(server)
	defer client.CloseIdleConnections()

	annotations, err := client.Annotations(context.Background(), pictograph.ImageRef{Dataset: "road-signs", Path: "val/a.jpg"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, a := range annotations {
		switch g := a.Geometry.(type) {
		case pictograph.BBox:
			fmt.Printf("%s: a box of %v × %v pixels\n", a.Name, g.Box.W, g.Box.H)
		case pictograph.Keypoint:
			fmt.Printf("%s: a keypoint of object %d\n", a.Name, g.Instance)
		}
	}
	// Output:
	// car: a box of 30 × 40 pixels
	// nose: a keypoint of object 1
}

// Replace everything that an image has.
func ExampleClient_Save() {
	server := pretend()
	defer server.Close()
	client := connect(server)
	defer client.CloseIdleConnections()

	result, err := client.Save(context.Background(), pictograph.ImageRef{Dataset: "road-signs", Path: "val/a.jpg"}, []pictograph.Annotation{
		{ID: "1", Name: "stop sign", Geometry: pictograph.Polygon{Rings: [][]pictograph.Point{{{X: 1, Y: 1}, {X: 9, Y: 1}, {X: 5, Y: 8}}}}},
	}, pictograph.SaveOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d annotations replaced by %d\n", result.PreviousCount, result.NewCount)
	// Output:
	// 2 annotations replaced by 1
}

// Replace the annotations of many images in one request; those that could not
// be saved are in the result.
func ExampleClient_BulkSave() {
	server := pretend()
	defer server.Close()
	client := connect(server)
	defer client.CloseIdleConnections()

	car := []pictograph.Annotation{{ID: "1", Name: "car", Geometry: pictograph.BBox{Box: pictograph.Box{X: 1, Y: 2, W: 3, H: 4}}}}
	result, err := client.BulkSave(context.Background(), []pictograph.ImageSave{{ImageID: "id-1", Annotations: car}, {ImageID: "id-2", Annotations: car}}, pictograph.SaveOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range result.Saved {
		fmt.Printf("%s: %d before, %d now\n", s.ImageID, s.PreviousCount, s.NewCount)
	}
	for _, f := range result.Failed {
		fmt.Printf("%s: %s\n", f.ImageID, f.Error)
	}
	// Output:
	// id-1: 4 before, 1 now
	// id-2: image not found
}

// List all images of a dataset, 1,000 for each request.
func ExampleClient_Images() {
	server := pretend()
	defer server.Close()
	client := connect(server)
	defer client.CloseIdleConnections()

	for image, err := range client.Images(context.Background(), "road-signs", pictograph.ImageFilter{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s has %d annotations\n", image.Path(), image.AnnotationCount)
	}
	// Output:
	// val/a.jpg has 2 annotations
	// b.jpg has 0 annotations
}

// Find out what the service minds in a payload.
func ExampleAPIError() {
	server := pretend()
	defer server.Close()
	client := connect(server)
	defer client.CloseIdleConnections()

	_, err := client.Save(context.Background(), pictograph.ImageRef{Dataset: "road-signs", Path: "a.jpg"}, []pictograph.Annotation{
		{ID: "1", Name: "unicorn", Geometry: pictograph.Keypoint{Point: pictograph.Point{X: 1, Y: 1}}},
	}, pictograph.SaveOptions{})
	var refused *pictograph.APIError
	if errors.Is(err, pictograph.ErrInvalid) && errors.As(err, &refused) {
		for _, f := range refused.Fields {
			fmt.Printf("%s: %s\n", f.Path, f.Reason)
		}
	}
	// Output:
	// annotations[0].name: the dataset has no class unicorn
}
