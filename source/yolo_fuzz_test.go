package source

import "testing"

func FuzzDescription(f *testing.F) {
	f.Add([]byte("path: ../x\ntrain: [images/train, a.txt]\nval: ''\nnc: 2\nnames: {0: a, 3: 'b c'}\nkpt_shape: [17, 3]\nflip_idx: [0]\nkpt_names: {0: [a]}\n"))
	f.Add([]byte("names: &x [no, ~, 1.0, [a]]\nval: *x\n"))
	f.Add([]byte("? - - a\n: b\n--- |\n x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, _, err := parseDescription(data, "data.yaml")
		if err != nil {
			return
		}
		for n, name := range d.names {
			if n < 0 || name == "" {
				t.Errorf("class %d is %q", n, name)
			}
		}
		if d.joints < 0 || d.joints > maxJoints || len(d.jointNames) > 0 && d.joints > 0 && len(d.jointNames) > d.joints {
			t.Errorf("%d joints, %d names", d.joints, len(d.jointNames))
		}
	})
}
