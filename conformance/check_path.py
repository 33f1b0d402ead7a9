"""Conformance with the SDK's path dialect line: its models, its converters,
and its client against a running sandbox."""

import io
import json
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path

import pictograph
from pictograph.exceptions import ConflictError, ForbiddenError, NotFoundError, ValidationError
from pictograph.formats import from_coco, from_yolo
from pictograph.models.annotation import Annotation, BBoxAnnotation, KeypointAnnotation, PolygonAnnotation, PolygonGeometry, PolylineAnnotation, PolylineGeometry
from pictograph.models.common import BoundingBox, Point
from PIL import Image
from pydantic import TypeAdapter

from harness import KEY, ROOT, SHARED, Tally, converted, pictosync, sandbox, sync

ANNOTATIONS = TypeAdapter(list[Annotation])


def plain(annotations, ids=True):
    """Annotations as comparable values."""
    out = []
    for a in annotations:
        d = a.model_dump(mode="json", exclude_none=True)
        if not ids:
            d.pop("id")
        d["attributes"] = d.get("attributes") or {}
        out.append(d)
    return out


# --- the labels there are


def coco_files():
    yield ROOT / "testdata" / "shapes.coco.json"
    if not SHARED.is_dir():
        print("conformance: SKIPPED the real labels: ../shared/data is not there")
        return
    yield from sorted((SHARED / "coco").glob("*.json"))


def yolo_folders():
    """(source, images, class names by index) of each."""
    yield ROOT / "testdata" / "shapes", ROOT / "testdata" / "shapes" / "images"
    if SHARED.is_dir():
        yield SHARED / "yolo-detect", SHARED / "yolo-detect" / "images"
        yield SHARED / "yolo-segment", SHARED / "yolo-detect" / "images"


def class_names(folder):
    """The class list of a data.yaml whose names are an index map. The SDK takes
    a list: indexes that the map leaves out get a name that no label may use."""
    names = {}
    for line in (folder / "data.yaml").read_text().split("names:")[1].splitlines():
        index, found, name = line.partition(":")
        if found and index.strip().isdigit():
            names[int(index)] = name.strip()
    return [names.get(i, f"no class {i}") for i in range(max(names) + 1)]


def sdk_coco(file):
    """What the SDK makes of a COCO file, masks aside: file name to annotations."""
    data = json.loads(file.read_text())
    masks = {a["id"] for a in data["annotations"] if isinstance(a.get("segmentation"), dict)
             and not any(v > 0 for v in a.get("keypoints", [])[2::3])}
    data["annotations"] = [a for a in data["annotations"] if a["id"] not in masks]
    return from_coco(data).annotations, {str(m) for m in masks}


def sdk_yolo(folder, images):
    """What the SDK makes of a YOLO folder: file name to annotations; and the
    stems of labels that have no image, which nothing can be made of."""
    names = class_names(folder)
    out, alone = {}, set()
    for label in sorted(folder.glob("labels/**/*.txt")):
        image = next(images.glob(f"**/{label.stem}.*"), None)
        if image is None:
            alone.add(label.stem)
            continue
        with Image.open(image) as opened:
            out[image.name] = from_yolo(label.read_text(), names, *opened.size)
    return out, alone


def without_masks(annotations, masks):
    return [a for a in annotations if a.id.rsplit("-", 1)[0] not in masks and a.id not in masks]


# --- convert


def check_convert_coco(file):
    want, masks = sdk_coco(file)
    ours = converted(file)
    names = [i["file_name"] for i in json.loads(file.read_text())["images"]]
    assert list(ours) == names, "not every image of the file, in its order"
    for name in names:
        got = without_masks(ANNOTATIONS.validate_python(ours[name]["annotations"]), masks)
        assert plain(got) == plain(want.get(name, [])), name


def check_convert_yolo(folder, images):
    want, alone = sdk_yolo(folder, images)
    ours = {Path(image).name: line for image, line in converted(folder, "--images", images, expect=4 if alone else 0).items()}
    assert ours.keys() == want.keys()
    for name, annotations in want.items():
        got = ANNOTATIONS.validate_python(ours[name]["annotations"])
        assert plain(got, ids=False) == plain(annotations, ids=False), name


# --- sync into a sandbox, read back through the SDK


def png(width, height):
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, "PNG")
    return out.getvalue()


def upload(client, dataset, sizes, tmp):
    """Upload pictures of these sizes under these names."""
    for path, size in sizes.items():
        path = Path(path)
        file = Path(tmp) / path.name
        file.write_bytes(png(*size))
        directory = "/" if str(path.parent) == "." else f"/{path.parent}"
        client.images.upload(dataset, file, directory_path=directory, content_type="image/png")


def sizes(file):
    return {i["file_name"]: (i["width"], i["height"]) for i in json.loads(file.read_text())["images"]}


def audit(url):
    with urllib.request.urlopen(f"{url}/_sandbox/audit") as answer:
        return [json.loads(line) for line in answer.read().splitlines()]


def saves(url):
    return sum(e["kind"] in ("save", "bulk") for e in audit(url))


def check_sync_coco(file, url):
    want, masks = sdk_coco(file)
    images = sizes(file)
    dataset = f"coco {file.stem}"
    with pictograph.Client(api_key=KEY, base_url=url) as client, tempfile.TemporaryDirectory() as tmp:
        client.datasets.create(dataset)
        upload(client, dataset, images, tmp)
        summary = sync(file, dataset, url, f"{tmp}/state.db")
        assert summary["images"]["found"] == summary["images"]["matched"] == len(images), summary
        assert summary["images"]["failed"] == summary["images"]["unmatched"] == 0, summary
        stored = {}
        for image in images:
            path = Path(image)
            directory = None if str(path.parent) == "." else str(path.parent)
            stored[image] = client.annotations.get(dataset, path.name, directory_path=directory)
        for image in images:
            assert plain(without_masks(stored[image], masks)) == plain(want.get(image, [])), image
        with_annotations = sum(bool(a) for a in stored.values())
        assert summary["images"]["saved"] == with_annotations, summary
        assert summary["annotations"] == {"previous": 0, "new": sum(map(len, stored.values()))}, summary

        before = saves(url)
        again = sync(file, dataset, url, f"{tmp}/state.db")
        assert again["images"]["unchanged"] == len(images) and again["images"]["saved"] == 0, again
        assert saves(url) == before, "a second run over unchanged labels saved something"


def check_sync_yolo(folder, images, url):
    want, alone = sdk_yolo(folder, images)
    dataset = f"yolo/{folder.name}"
    with pictograph.Client(api_key=KEY, base_url=url) as client, tempfile.TemporaryDirectory() as tmp:
        client.datasets.create(dataset)
        for name in want:
            (file,) = images.glob(f"**/{name}")
            client.images.upload(dataset, file)
        # No --images: sizes come from the source's own images, else the listing.
        summary = sync(folder, dataset, url, f"{tmp}/state.db", expect=4 if alone else 0)
        assert summary["images"]["unmatched"] == len(alone), summary
        assert summary["images"]["matched"] == len(want) and summary["images"]["failed"] == 0, summary
        for name, annotations in want.items():
            assert plain(client.annotations.get(dataset, name), ids=False) == plain(annotations, ids=False), name
        assert summary["images"]["saved"] == sum(bool(a) for a in want.values()), summary


# --- the SDK's own client on the sandbox


def one_of_each():
    return [
        BBoxAnnotation(id="1", name="car", bounding_box=BoundingBox(x=1, y=2.5, w=3, h=4), confidence=0.25, attributes={"color": "red"}),
        PolygonAnnotation(id="2", name="road", polygon=PolygonGeometry(paths=[[Point(x=0, y=0), Point(x=8, y=0), Point(x=8, y=8)], [Point(x=2, y=1), Point(x=6, y=1), Point(x=6, y=4)]])),
        PolylineAnnotation(id="3", name="lane", polyline=PolylineGeometry(path=[Point(x=0, y=0), Point(x=5, y=5)])),
        KeypointAnnotation(id="4", name="nose", keypoint=Point(x=1, y=1), instance_id=1),
    ]


def check_client(url):
    with pictograph.Client(api_key=KEY, base_url=url) as client, tempfile.TemporaryDirectory() as tmp:
        classes = [{"name": n, "type": t} for n, t in (("car", "bbox"), ("road", "polygon"), ("lane", "polyline"), ("nose", "keypoint"))]
        made = client.datasets.create("a set/with #?", classes=classes)
        name = made.name
        assert client.datasets.get(name).id == made.id == client.datasets.get(dataset_id=made.id).id
        assert [d.name for d in client.datasets.iter(page_size=1) if d.id == made.id] == [name]
        try:
            client.datasets.create(name)
            raise AssertionError("a second dataset of the same name was made")
        except ConflictError:
            pass
        upload(client, name, dict.fromkeys(["a.png", "deep/er/b c#.png"], (8, 8)), tmp)
        listed = {i.filename: i for i in client.images.iter(name)}
        assert set(listed) == {"a.png", "b c#.png"} and (listed["a.png"].width, listed["b c#.png"].directory_path) == (8, "/deep/er")
        assert client.images.get(name, listed["a.png"].id).filename == "a.png"
        target = Path(tmp) / "down.png"
        client.images.download(name, "a.png", target)
        assert target.read_bytes() == png(8, 8)

        assert client.annotations.get(name, "a.png") == []
        result = client.annotations.save(name, "a.png", one_of_each())
        assert (result.previous_count, result.new_count, result.status) == (0, 4, "new")
        assert plain(client.annotations.get(name, "a.png")) == plain(one_of_each())
        result = client.annotations.save(name, "b c#.png", one_of_each()[:1], directory_path="/deep/er")
        assert result.image_id == listed["b c#.png"].id
        bulk = client.annotations.bulk_save({listed["a.png"].id: one_of_each()[:2], "00000000-0000-4000-8000-000000000000": []})
        assert bulk.saved_count == 1 and bulk.saved[0].previous_count == 4 and len(bulk.failed) == 1
        try:
            client.annotations.save(name, "a.png", [BBoxAnnotation(name="unheard of", bounding_box=BoundingBox(x=0, y=0, w=1, h=1))])
            raise AssertionError("an annotation of an unknown class was taken")
        except ValidationError as e:
            assert e.field_errors, e
        assert client.annotations.delete(name, "a.png").deleted_count == 2
        for image in ("nowhere.png", "00000000-0000-4000-8000-000000000000"):
            try:
                client.annotations.get(name, image)
                raise AssertionError("an unknown image was read")
            except NotFoundError:
                pass
        client.images.delete(name, "a.png")
        assert [i.filename for i in client.images.iter(name)] == ["b c#.png"]
        base = client.datasets.get(name).classes
        updated = client.datasets.update(name, classes=[*base, {"name": "bus", "type": "bbox"}], classes_base=base)
        assert [c.name for c in updated.classes] == ["car", "road", "lane", "nose", "bus"] and updated.classes[-1].color
        client.datasets.delete(name)


def stats(url):
    with urllib.request.urlopen(f"{url}/_sandbox/stats") as answer:
        return json.loads(answer.read())


def check_uploads(url):
    """The SDK's uploads of many, and what comes back: bytes, splits, failures."""
    with pictograph.Client(api_key=KEY, base_url=url) as client, tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp) / "pictures"
        for n in range(60):
            file = folder / ("train" if n % 2 else "val") / "deep" / f"{n}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(n + 1, 8))
        (folder / "photo.heic").write_bytes(b"no decoder looks at this")
        files = sorted(folder.rglob("*.png"))

        report = client.images.upload_from_directory("walked", folder, preserve_structure=True)
        assert report.success and report.images_uploaded == 61, report
        again = client.images.upload_from_directory("walked", folder, preserve_structure=True)
        assert again.images_skipped == 61 and not again.failures, again
        for file in files[::7]:
            name = file.relative_to(folder)
            down = client.images.download("walked", str(name), Path(tmp) / "down.png")
            assert down.read_bytes() == file.read_bytes(), name
        assert client.images.list("walked", directory_path="/")[0].filename == "photo.png"

        client.datasets.create("bulk")
        before = stats(url)["requests"]
        result = client.images.bulk_upload("bulk", files, directory_path="/all")
        assert result.count == 60 and not result.failed, result.failed
        assert stats(url)["requests"] - before == 3, "two requests, and that of the count"
        more = Path(tmp) / "more.png"
        more.write_bytes(png(3, 3))
        result = client.images.bulk_upload("bulk", [files[0], more], directory_path="/all")
        assert [i.filename for i in result.succeeded] == ["more.png"] and result.failed[0].filename == files[0].name, result
        down = client.images.download("bulk", f"all/{files[5].name}", Path(tmp) / "down.png")
        assert down.read_bytes() == files[5].read_bytes()

        assert client.images.set_split("bulk", result.succeeded[0].id, "val") == "val"
        assert [i.filename for i in client.images.iter("bulk", split="val")] == ["more.png"]
        assert client.images.set_split("bulk", result.succeeded[0].id, None) is None
        assert stats(url)["keys_leaked"] == 0


def check_exports(url):
    """The SDK's exports hold what it reads image by image."""
    with pictograph.Client(api_key=KEY, base_url=url) as client, tempfile.TemporaryDirectory() as tmp:
        classes = [{"name": n, "type": t} for n, t in (("car", "bbox"), ("road", "polygon"), ("lane", "polyline"), ("nose", "keypoint"))]
        client.datasets.create("exported", classes=classes)
        upload(client, "exported", dict.fromkeys(["a.png", "deep/er/a.png"], (8, 8)), tmp)
        client.annotations.save("exported", "a.png", one_of_each(), directory_path="/deep/er")
        export = client.exports.create("exported", "one", include_images=True, poll_interval=0.1)
        assert (export.image_count, export.annotation_count) == (2, 4) and export.expires_at, export
        assert [e.id for e in client.exports.iter(dataset_name="exported")] == [export.id] and client.exports.get_by_id(export.id).name == "one"
        file = client.exports.download_by_id(export.id, Path(tmp) / "one.zip")
        assert file.stat().st_size == export.file_size
        found = {}
        with zipfile.ZipFile(file) as z:
            for name in z.namelist():
                if name.endswith(".json"):
                    d = json.loads(z.read(name))
                    found[f"{d['image_path'].strip('/')}/{d['image']}".strip("/")] = ANNOTATIONS.validate_python(d["annotations"])
            assert sorted(z.read(n) for n in z.namelist() if n.endswith(".png")) == [png(8, 8)] * 2
        assert {k: plain(v) for k, v in found.items()} == {"a.png": [], "deep/er/a.png": plain(one_of_each())}
        try:
            client.exports.create("exported", "one")
            raise AssertionError("a second export of the name was made")
        except ConflictError:
            pass
        for fmt in ("coco", "yolo", "yolo_obb", "yolo_pose"):
            made = client.exports.create("exported", fmt, format=fmt, organize_by_split=fmt == "coco", poll_interval=0.1)
            with zipfile.ZipFile(client.exports.download("exported", fmt, Path(tmp) / f"{fmt}.zip")) as z:
                assert z.testzip() is None and z.namelist(), made
                if fmt == "coco":
                    boxes = json.loads(z.read("train/annotations.json"))
                    assert {i["file_name"] for i in boxes["images"]} == {"a.png", "deep/er/a.png"} and boxes["annotations"], boxes
        removed = client.exports.bulk_delete([export.id, "00000000-0000-4000-8000-000000000000"])
        assert removed.succeeded == [export.id] and len(removed.not_found) == 1, removed
        client.datasets.delete("exported")


def check_roles(url, member):
    with pictograph.Client(api_key=KEY, base_url=url) as owner, pictograph.Client(api_key=member, base_url=url) as client, tempfile.TemporaryDirectory() as tmp:
        owner.datasets.create("roles", classes=[{"name": "car", "type": "bbox"}])
        upload(client, "roles", {"a.png": (8, 8)}, tmp)
        client.annotations.save("roles", "a.png", one_of_each()[:1])
        try:
            client.annotations.delete("roles", "a.png")
            raise AssertionError("a member's DELETE was executed")
        except ForbiddenError:
            pass


def check_imports(url):
    """The SDK's importers and ours bring the same labels to the same place."""
    file = ROOT / "testdata" / "shapes.coco.json"
    images = sizes(file)
    with pictograph.Client(api_key=KEY, base_url=url) as client, tempfile.TemporaryDirectory() as tmp:
        for name in ("theirs", "ours"):
            client.datasets.create(name)
            upload(client, name, {Path(i).name: size for i, size in images.items()}, tmp)
        data = json.loads(file.read_text())
        for image in data["images"]:
            image["file_name"] = Path(image["file_name"]).name
        report = client.annotations.import_coco("theirs", data)
        assert not report.failures and not report.unmatched_files, report
        sync(file, "ours", url, f"{tmp}/state.db")
        for image in images:
            name = Path(image).name
            assert plain(client.annotations.get("ours", name)) == plain(client.annotations.get("theirs", name)), name
        theirs = {c.name: c.type for c in client.datasets.get("theirs").classes}
        ours = {c.name: c for c in client.datasets.get("ours").classes}
        assert theirs.items() <= {n: c.type for n, c in ours.items()}.items(), (theirs, ours)
        assert ours["triangle"].type == "keypoint" and len(ours["triangle"].skeleton.edges) == 3

        labels = {p.name: p.read_text() for p in (ROOT / "testdata" / "shapes" / "labels").glob("*/*.txt")}
        client.datasets.create("yolo imports")
        for picture in (ROOT / "testdata" / "shapes" / "images").glob("*/*.png"):
            client.images.upload("yolo imports", picture)
        report = client.annotations.import_yolo("yolo imports", labels, ["circle", "square", "triangle"])
        assert not report.failures and report.images_saved == sum(bool(t) for t in labels.values()), report


def check_sandbox_flag():
    """The README's first command."""
    with tempfile.TemporaryDirectory() as tmp:
        out = json.loads(pictosync("sync", ROOT / "testdata" / "shapes", "--dataset", "shapes", "--sandbox", "--state", f"{tmp}/state.db", "--json"))
        labels = list((ROOT / "testdata" / "shapes" / "labels").glob("*/*.txt"))
        assert out["images"]["saved"] == sum(bool(p.read_text()) for p in labels), out
        assert out["images"]["found"] == len(labels), out


def main():
    tally = Tally()
    for file in coco_files():
        tally.run(f"convert {file.name} as the SDK does", check_convert_coco, file)
    for folder, images in yolo_folders():
        tally.run(f"convert {folder.name} as the SDK does", check_convert_yolo, folder, images)
    member = "pk_live_member"
    with sandbox("--api-key", f"{member}:member") as url:
        for file in coco_files():
            tally.run(f"sync {file.name}, read back through the SDK", check_sync_coco, file, url)
        for folder, images in yolo_folders():
            tally.run(f"sync {folder.name}, read back through the SDK", check_sync_yolo, folder, images, url)
        tally.run("the SDK's client on the sandbox", check_client, url)
        tally.run("the SDK's uploads", check_uploads, url)
        tally.run("the SDK's exports", check_exports, url)
        tally.run("roles", check_roles, url, member)
        tally.run("the SDK's importers and ours", check_imports, url)
    tally.run("sync --sandbox", check_sandbox_flag)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
