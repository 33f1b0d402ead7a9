"""Conformance of masks with pycocotools: what it encodes is what we trace, and
what we write it decodes to the same pixels."""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from harness import ROOT, SHARED, Tally, converted


def random_masks(count):
    """Noise, blobs, holes in holes, single pixels, diagonals, full and empty."""
    r = np.random.default_rng(7)
    for i in range(count):
        h, w = r.integers(1, 40, 2)
        y, x = np.mgrid[:h, :w]
        kind = i % 8
        if kind == 0:
            m = r.random((h, w)) < r.random()
        elif kind == 1:
            m = np.zeros((h, w), bool)
            for _ in range(r.integers(1, 8)):
                m ^= (x - r.integers(0, w)) ** 2 + (y - r.integers(0, h)) ** 2 <= r.integers(0, 15) ** 2
        elif kind == 2:
            m = np.zeros((h, w), bool)
            m[r.integers(0, h), r.integers(0, w)] = True
        elif kind == 3:
            m = (x + y) // r.integers(1, 4) % 2 == 0
        elif kind == 4:
            m = np.minimum(np.minimum(x, y), np.minimum(w - 1 - x, h - 1 - y)) % 2 == 0
        elif kind == 5:
            m = np.ones((h, w), bool)
        elif kind == 6:
            m = np.zeros((h, w), bool)
        else:
            m = x % r.integers(1, 5) == 0
        yield m


def fill(polygons, h, w):
    """The pixels of polygons that run along pixel edges: each vertical edge
    toggles everything to its right."""
    out = np.zeros((h, w), bool)
    for rings in polygons:
        one = np.zeros((h, w), bool)
        for ring in rings:
            for p, q in zip(ring, ring[1:] + ring[:1]):
                if p["x"] == q["x"]:
                    y0, y1 = sorted((int(p["y"]), int(q["y"])))
                    one[y0:y1, int(p["x"]):] ^= True
        assert not (out & one).any(), "two polygons cover a pixel"
        out |= one
    return out


def traced(data, tmp, flags=(), expect=0):
    file = Path(tmp) / "masks.json"
    file.write_text(json.dumps(data))
    return converted(file, *flags, expect=expect)


def check_random(count):
    images, annotations, masks = [], [], {}
    for i, m in enumerate(random_masks(count)):
        h, w = m.shape
        name = f"{i}.png"
        rle = coco_mask.encode(np.asfortranarray(m.astype(np.uint8)))
        if i % 3 == 0:  # the other form: counts down the columns, outside first
            flat = m.flatten("F").astype(int)
            edges = np.flatnonzero(np.diff(flat)) + 1
            bounds = np.concatenate(([0], edges, [flat.size]))
            segmentation = {"size": [h, w], "counts": ([0] if flat[0] else []) + np.diff(bounds).tolist()}
        else:
            segmentation = {"size": [h, w], "counts": rle["counts"].decode()}
        images.append({"id": i + 1, "file_name": name, "width": int(w), "height": int(h)})
        annotations.append({"id": i + 1, "image_id": i + 1, "category_id": 1, "iscrowd": i % 2, "segmentation": json.loads(json.dumps(segmentation, default=int))})
        masks[name] = m
    with tempfile.TemporaryDirectory() as tmp:
        data = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}
        ours = traced(data, tmp, expect=4)  # the empty masks
    for name, m in masks.items():
        if not m.any():
            assert name not in ours, f"{name} has an empty mask and was converted"
            continue
        got = fill([a["polygon"]["paths"] for a in ours[name]["annotations"]], *m.shape)
        assert (got == m).all(), f"{name}: {(got != m).sum()} pixels differ"


def check_real(file):
    data = json.loads(file.read_text())
    names = {i["id"]: i["file_name"] for i in data["images"]}
    ours = converted(file)
    checked = 0
    for a in data["annotations"]:
        s = a.get("segmentation")
        if not isinstance(s, dict) or any(v > 0 for v in a.get("keypoints", [])[2::3]):
            continue
        h, w = s["size"]
        m = coco_mask.decode(coco_mask.frPyObjects(s, h, w) if isinstance(s["counts"], list) else s).astype(bool)
        parts = [o for o in ours[names[a["image_id"]]]["annotations"] if o["id"] == str(a["id"]) or o["id"].startswith(f"{a['id']}-")]
        got = fill([o["polygon"]["paths"] for o in parts], h, w)
        assert (got == m).all(), f"annotation {a['id']}: {(got != m).sum()} pixels differ"
        checked += 1
    assert checked, "the file has no masks"
    print(f"   {checked} masks of {file.name}")


def main():
    tally = Tally()
    tally.run("10,000 random masks, traced and filled again", check_random, 10_000)
    if SHARED.is_dir():
        for file in sorted((SHARED / "coco").glob("*.json")):
            tally.run(f"the masks of {file.name}", check_real, file)
    else:
        print("conformance: SKIPPED the real masks: ../shared/data is not there")
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
