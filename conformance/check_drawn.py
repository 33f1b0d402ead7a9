"""Hold what is drawn against pycocotools: the shape of every polygon, mask and oriented box
of ../shared/data covers what pycocotools makes of the label (intersection over union at
least 0.98), seen at eight times the image's size, since at its own size a small outline is
all edge.
"""

import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from pycocotools import mask

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
LEAST = 0.98
SCALE = 8


def drawn(source: Path, scale: int, *more: str) -> dict:
    """The shapes of each annotation of the source, by image and id."""
    out = subprocess.run(["go", "run", "./conformance/drawn", str(source), str(scale), *more], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    shapes = defaultdict(list)
    for line in out.splitlines():
        s = json.loads(line)
        shapes[s["image"], s["id"].split("-")[0] if s["type"] == "polygon" else s["id"]].append(s)
    return shapes


def pixels(shapes: list, scale: int) -> tuple:
    """One mask of several shapes, and where it lies in the image."""
    left, top = (min(s["origin"][i] for s in shapes) for i in (0, 1))
    right = max(s["origin"][0] + s["size"][1] // scale for s in shapes)
    bottom = max(s["origin"][1] + s["size"][0] // scale for s in shapes)
    whole = np.zeros(((bottom - top) * scale, (right - left) * scale), np.uint8)
    for s in shapes:
        part = mask.decode(mask.frPyObjects({"counts": s["counts"], "size": s["size"]}, *s["size"]))
        y, x = (s["origin"][1] - top) * scale, (s["origin"][0] - left) * scale
        whole[y : y + part.shape[0], x : x + part.shape[1]] |= part
    return whole, left, top


def rasterized(rings: list, left: int, top: int, shape: tuple, scale: int) -> np.ndarray:
    moved = [[(v - (left, top)[i % 2]) * scale for i, v in enumerate(ring)] for ring in rings]
    return mask.decode(mask.merge(mask.frPyObjects(moved, *shape)))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum()) / max(1, float((a | b).sum()))


def check(what: str, overlaps: list) -> int:
    bad = [(round(o, 4), which) for o, which in overlaps if o < LEAST]
    print(f"{what}: {len(overlaps)} shapes, the least overlap {min(o for o, _ in overlaps):.4f}, below {LEAST}: {len(bad)} {bad[:5]}")
    return len(bad) + (len(overlaps) == 0)


def coco() -> int:
    path = DATA / "coco" / "instances_sample.json"
    labels = json.loads(path.read_text())
    names = {i["id"]: i for i in labels["images"]}
    polygons, masks = [], []
    fine, exact = drawn(path, SCALE), drawn(path, 1)
    for a in labels["annotations"]:
        image = names[a["image_id"]]
        key = image["file_name"], str(a["id"])
        if isinstance(a["segmentation"], dict):
            if key not in exact:
                continue
            whole, left, top = pixels(exact[key], 1)
            full = mask.decode(mask.frPyObjects(a["segmentation"], image["height"], image["width"]))
            canvas = np.zeros((image["height"] + 4, image["width"] + 4), np.uint8)
            canvas[top + 2 : top + 2 + whole.shape[0], left + 2 : left + 2 + whole.shape[1]] = whole
            masks.append((overlap(canvas[2:-2, 2:-2], full), key))
        elif key in fine:
            whole, left, top = pixels(fine[key], SCALE)
            polygons.append((overlap(whole, rasterized(a["segmentation"], left, top, whole.shape, SCALE)), key))
    return check("COCO polygons", polygons) + check("COCO masks", masks)


def oriented() -> int:
    """Rectangles turned by any angle, as YOLO writes them."""
    rng = random.Random(1)
    width, height = 640, 480
    with tempfile.TemporaryDirectory() as tmp:
        root = Path(tmp)
        (root / "labels").mkdir()
        (root / "data.yaml").write_text("names: [plane]\ntask: obb\n")
        (root / "sizes.csv").write_text("image,width,height\na.jpg,640,480\n")
        corners = []
        for _ in range(60):
            cx, cy, w, h, turn = rng.uniform(150, 490), rng.uniform(150, 330), rng.uniform(20, 180), rng.uniform(8, 60), rng.uniform(0, math.pi)
            corners.append([(cx + x * w / 2 * math.cos(turn) - y * h / 2 * math.sin(turn), cy + x * w / 2 * math.sin(turn) + y * h / 2 * math.cos(turn)) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
        (root / "labels" / "a.txt").write_text("".join("0 " + " ".join(f"{x / width:.8f} {y / height:.8f}" for x, y in c) + "\n" for c in corners))
        # An image of that size and nothing on it: its header is all that is read.
        import struct
        import zlib

        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        (root / "images").mkdir()
        (root / "images" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(bytes((width + 1) * height))) + chunk(b"IEND", b""))
        shapes = [s for (_, _), all in drawn(root, SCALE, str(root / "images")).items() for s in all]
        overlaps = []
        for s, c in zip(shapes, corners, strict=True):
            whole, left, top = pixels([s], SCALE)
            overlaps.append((overlap(whole, rasterized([[v for p in c for v in p]], left, top, whole.shape, SCALE)), s["type"]))
        return check("oriented boxes", overlaps)


def main() -> int:
    if not DATA.exists():
        print(f"check_drawn: SKIPPED: there is no {os.path.relpath(DATA, ROOT)}")
        return 0
    return 1 if coco() + oriented() else 0


if __name__ == "__main__":
    sys.exit(main())
