"""Conformance with the SDK's image-id dialect line: its client against a
running sandbox, and pictosync against a service that speaks only this one."""

import json
import sys
import tempfile

import pictograph
from pictograph.exceptions import ForbiddenError, NotFoundError
from pictograph.models.annotation import BBoxAnnotation
from pictograph.models.common import BoundingBox

from harness import KEY, ROOT, Tally, sandbox, sync

CAR = BBoxAnnotation(id="1", name="car", bounding_box=BoundingBox(x=1, y=2, w=3, h=4))


def fill(client, url):
    """A dataset with the images of the shapes, by way of a sync that fails on
    nothing: the older SDK's own upload is not what is tested here."""
    import base64
    import urllib.request

    def call(method, path, body, key=True):
        request = urllib.request.Request(path if path.startswith("http") else url + path, method=method, data=body if isinstance(body, bytes) else json.dumps(body).encode())
        if key:
            request.add_header("X-API-Key", KEY)
        request.add_header("Content-Type", "image/png" if isinstance(body, bytes) else "application/json")
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
        return json.loads(text)["data"] if text else None

    picture = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")
    call("POST", "/api/v1/developer/datasets/", {"name": "old", "classes": [{"name": "car", "type": "bbox"}]})
    ids = {}
    for image in json.loads((ROOT / "testdata" / "shapes.coco.json").read_text())["images"]:
        directory, _, name = image["file_name"].rpartition("/")
        where = {"dataset": "old", "filename": name, "directory_path": f"/{directory}", "content_type": "image/png"}
        signed = call("POST", "/api/v1/developer/images/upload-url", where)
        call("PUT", signed["upload_url"], picture, key=False)
        made = call("POST", "/api/v1/developer/images/register", where | {"file_size": len(picture), "width": 160, "height": 120})
        ids[image["file_name"]] = made["id"]
    return ids


def check_client(client, ids):
    image = next(iter(ids.values()))
    assert client.annotations.get(image) == []
    result = client.annotations.save(image, [CAR])
    assert (result.image_id, result.previous_count, result.new_count) == (image, 0, 1)
    assert client.annotations.get(image)[0].bounding_box == CAR.bounding_box
    bulk = client.annotations.bulk_save({image: [CAR, CAR.model_copy(update={"id": "2"})]})
    assert bulk.saved[0].previous_count == 1 and bulk.saved[0].new_count == 2
    assert client.annotations.delete(image).deleted_count == 2
    try:
        client.annotations.get("00000000-0000-4000-8000-000000000000")
        raise AssertionError("an unknown image was read")
    except NotFoundError:
        pass


def check_member(url, member, ids):
    with pictograph.Client(api_key=member, base_url=url) as client:
        image = next(iter(ids.values()))
        client.annotations.save(image, [CAR])
        try:
            client.annotations.delete(image)
            raise AssertionError("a member's DELETE was executed")
        except ForbiddenError:
            pass


def check_sync(client, url, ids):
    """A sync into a service of the older dialect, read back through its SDK.
    Boxes alone: its models do not know the instances of keypoints."""
    source = ROOT / "testdata" / "shapes"
    labels = {f"{p.parent.name}/{p.stem}.png": p.read_text().splitlines() for p in source.glob("labels/*/*.txt")}
    with tempfile.TemporaryDirectory() as tmp:
        summary = sync(source, "old", url, f"{tmp}/state.db", "--allow-clear")
    assert summary["images"]["matched"] == len(labels) and summary["images"]["failed"] == 0, summary
    for image, lines in labels.items():
        stored = client.annotations.get(ids[image])
        assert [a.type for a in stored] == ["bbox"] * len(lines), (image, stored)


def main():
    tally = Tally()
    member = "pk_live_member"
    with sandbox("--api", "image-id", "--api-key", f"{member}:member") as url, pictograph.Client(api_key=KEY, base_url=url) as client:
        ids = fill(client, url)
        tally.run("the SDK's client on the sandbox", check_client, client, ids)
        tally.run("roles", check_member, url, member, ids)
        tally.run("sync, read back through the SDK", check_sync, client, url, ids)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
