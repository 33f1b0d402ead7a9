"""A folder of images and labels becomes a labelled dataset in one command: the SDK downloads
every image and every annotation, and they are what lies on disk."""

import hashlib
import sys
import tempfile
from pathlib import Path

import pictograph

from check_path import class_names, plain, sdk_yolo, stats
from harness import KEY, ROOT, SHARED, Tally, pictosync, sandbox, sync


def digest(file):
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def check_folder(folder, lost, url):
    """lost is how many labels have no image."""
    dataset = folder.name
    files = sorted((folder / "images").rglob("*.*"))
    want, alone = sdk_yolo(folder, folder / "images")
    assert len(alone) == lost, alone
    before = stats(url)
    with pictograph.Client(api_key=KEY, base_url=url) as client, tempfile.TemporaryDirectory() as tmp:
        assert dataset not in [d.name for d in client.datasets.iter()]
        before = stats(url)
        summary = sync(folder, dataset, url, f"{tmp}/state.db", "--create-dataset", "--upload", "all", expect=4 if lost else 0)
        after = stats(url)
        assert summary["uploads"]["done"] == len(files) and summary["images"]["failed"] == 0, summary
        assert after["storage_requests"] - before["storage_requests"] == len(files), "a file was put twice"
        assert after["keys_leaked"] == 0 and summary["requests"] <= 6, summary
        listed = {i.filename: i for i in client.images.iter(dataset)}
        assert sorted(listed) == sorted(f.name for f in files), "not every image, or one twice"
        for file in files:
            image = listed[file.name]
            path = f"{image.directory_path.strip('/')}/{image.filename}".strip("/")
            down = client.images.download(dataset, path, Path(tmp) / "down")
            assert digest(down) == digest(file), path
            down.unlink()
            directory = image.directory_path.strip("/") or None
            got = client.annotations.get(dataset, image.filename, directory_path=directory)
            assert plain(got, ids=False) == plain(want.get(file.name, []), ids=False), path
        classes = class_names(folder)
        made = client.datasets.get(dataset).classes
        assert {c.name for c in made} <= set(classes) and {c.name for c in made} >= {a.name for annotations in want.values() for a in annotations}, made
        again = sync(folder, dataset, url, f"{tmp}/state.db", "--create-dataset", "--upload", "all", expect=4 if lost else 0)
        assert again["images"]["saved"] == 0 and not again.get("uploads"), again


def check_against_theirs(url):
    """Ours and the SDK's upload of a folder end in the same dataset."""
    folder = ROOT / "testdata" / "shapes"
    with pictograph.Client(api_key=KEY, base_url=url) as client, tempfile.TemporaryDirectory() as tmp:
        client.images.upload_from_directory("theirs", folder / "images", preserve_structure=True)
        client.datasets.create("mine")
        sync(folder, "mine", url, f"{tmp}/state.db", "--upload", "all")

        def entries(dataset):
            return sorted((i.directory_path, i.filename, i.width, i.height, i.file_size, i.content_type) for i in client.images.iter(dataset))

        assert entries("mine") == entries("theirs"), (entries("mine"), entries("theirs"))


def check_archive(url):
    """What an undo of ours archives, the SDK brings back, and the other way about."""
    folder = ROOT / "testdata" / "shapes"
    with pictograph.Client(api_key=KEY, base_url=url) as client, tempfile.TemporaryDirectory() as tmp:
        env = {"PICTOGRAPH_API_KEY": KEY}
        state = ["--base-url", url, "--state", f"{tmp}/state.db", "--rate", "unlimited"]
        run = sync(folder, "archived", url, f"{tmp}/state.db", "--create-dataset", "--upload", "missing")["run"]
        ids = [i.id for i in client.images.iter("archived")]
        pictosync("undo", run, "--uploaded", *state, env=env)
        assert not list(client.images.iter("archived")) and len(ids) == 11
        done = client.batch.update("archived", ids[:4], is_archived=False)
        assert done.success and done.processed == 4 and [i.id for i in client.images.iter("archived")] == ids[:4], done
        client.batch.update("archived", ids[:4], is_archived=True)
        pictosync("undo", "last", "--uploaded", *state, env=env)
        assert [i.id for i in client.images.iter("archived")] == ids


def main():
    tally = Tally()
    with sandbox() as url:
        tally.run("upload shapes, download it through the SDK", check_folder, ROOT / "testdata" / "shapes", 0, url)
        if SHARED.is_dir():
            tally.run("upload COCO128, download it through the SDK", check_folder, SHARED / "yolo-detect", 2, url)
        else:
            print("conformance: SKIPPED COCO128: ../shared/data is not there")
        tally.run("ours and the SDK's upload_from_directory", check_against_theirs, url)
        tally.run("what ours archives comes back through the SDK", check_archive, url)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
