"""A source in a bucket, and backups in one, on a server that speaks S3 (moto's) on this
machine: synced from and backed up to by processes that are killed."""

import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pictograph

from check_path import plain
from harness import COMMAND, KEY, ROOT, SHARED, Tally, pictosync, sandbox

try:
    import boto3
    import moto.server  # noqa: F401
except ImportError as e:
    print(f"conformance: SKIPPED S3: {e}")
    sys.exit(0)

ACCESS = "not-a-real-key"
SECRET = "not-a-real-secret"


@contextlib.contextmanager
def storage():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}/moto-api/").close()
                break
            time.sleep(0.1)
        else:
            raise AssertionError("moto's server did not start")
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)


def killed(args, env, kills):
    """Run the command, kill it at random moments, and then let it finish; what it said at last."""
    rng = random.Random(1)
    done = 0
    for _ in range(kills):
        process = subprocess.Popen([COMMAND, *map(str, args)], env=os.environ | env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=rng.uniform(0.1, 1.5))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            done += 1
    last = subprocess.run([COMMAND, *map(str, args)], env=os.environ | env, capture_output=True, text=True)
    assert last.returncode in (0, 4), f"{args}: {last.returncode}\n{last.stdout}\n{last.stderr}"
    assert SECRET not in last.stdout + last.stderr
    return done


def content(client, dataset, tmp):
    """The images of a dataset: path to the hash of the bytes, and the annotations."""
    out = {}
    for image in client.images.iter(dataset):
        path = f"{image.directory_path.strip('/')}/{image.filename}".strip("/")
        down = client.images.download(dataset, path, Path(tmp) / "down")
        annotations = client.annotations.get(dataset, image.filename, directory_path=image.directory_path.strip("/") or None)
        out[path] = (hashlib.sha256(Path(down).read_bytes()).hexdigest(), plain(annotations))
        Path(down).unlink()
    return out


def check(folder, url, s3):
    """From a bucket into a dataset, from there into backups in a bucket, and back."""
    bucket = boto3.client("s3", endpoint_url=s3, aws_access_key_id=ACCESS, aws_secret_access_key=SECRET, region_name="us-east-1")
    for name in ("labels", "backups"):
        bucket.create_bucket(Bucket=name)
    files = [f for f in sorted(folder.rglob("*")) if f.is_file()]
    for file in files:
        bucket.upload_file(str(file), "labels", f"sets/{folder.name}/{file.relative_to(folder)}")
    pictures = {hashlib.sha256(f.read_bytes()).hexdigest() for f in (folder / "images").rglob("*.*")}
    with pictograph.Client(api_key=KEY, base_url=url) as client, tempfile.TemporaryDirectory() as tmp:
        env = {"PICTOGRAPH_API_KEY": KEY, "AWS_ENDPOINT_URL": s3, "AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1", "XDG_CACHE_HOME": f"{tmp}/cache"}
        base = ["--base-url", url, "--state", f"{tmp}/state.db", "--rate", "unlimited"]
        source = f"s3://labels/sets/{folder.name}?use_path_style=true"
        kills = killed(["sync", source, "--dataset", "bucket", "--create-dataset", "--upload", "all", *base], env, 6)
        first = content(client, "bucket", tmp)
        assert {h for h, _ in first.values()} == pictures and sum(bool(a) for _, a in first.values()) > 0, f"{len(first)} images with {len({h for h, _ in first.values()} & pictures)} of {len(pictures)} contents, {sum(bool(a) for _, a in first.values())} labelled"
        print(f"  {kills} kills, {len(first)} images from the bucket")

        label = next(f for f in files if f.suffix == ".txt" and f.parent.parent.name == "labels" and f.read_text().strip() and any((folder / "images").rglob(f"{f.stem}.*")))
        changed = label.read_text().splitlines()[0] + "\n"
        bucket.put_object(Bucket="labels", Key=f"sets/{folder.name}/{label.relative_to(folder)}", Body=(changed * 2).encode())
        subprocess.run([COMMAND, "sync", source, "--dataset", "bucket", "--max-removed", "none", *base], env=os.environ | env, capture_output=True)
        second = content(client, "bucket", tmp)
        different = [p for p in second if second[p] != first[p]]
        assert [Path(p).stem for p in different] == [label.stem] and len(second[different[0]][1]) == 2, different

        out = "s3://backups/of/bucket?use_path_style=true"
        kills = killed(["export", "--dataset", "bucket", "--out", out, "--images", *base], env, 4)
        again = pictosync("export", "--dataset", "bucket", "--out", out, "--images", "--json", *base, env=env | {"XDG_CACHE_HOME": f"{tmp}/other"})
        assert '"snapshot":"s3://backups/of/bucket/' in again, again
        pictosync("export", "--dataset", "bucket", "--out", out, "--images", *base, env=env)

        def snapshots(expect=0):
            listed = json.loads(pictosync("snapshots", out, "--check", "--json", env=env | {"XDG_CACHE_HOME": f"{tmp}/fourth"}, expect=expect))["snapshots"]
            return [s["name"] for s in listed], [d for s in listed for d in s.get("damaged", [])]

        def manifests():
            listed = bucket.list_objects_v2(Bucket="backups", Prefix="of/bucket/", Delimiter="/")["CommonPrefixes"]
            return sorted((p["Prefix"].split("/")[2] for p in listed if not p["Prefix"].startswith("of/bucket/.")), reverse=True)

        before = manifests()
        assert len(before) >= 3 and snapshots() == (before, []), "not every snapshot of the two machines is there and whole"
        picture = next(o for o in bucket.list_objects_v2(Bucket="backups", Prefix="of/bucket/.images/")["Contents"] if len(Path(o["Key"]).name) == 64)["Key"]
        data = bucket.get_object(Bucket="backups", Key=picture)["Body"].read()
        bucket.put_object(Bucket="backups", Key=picture, Body=data[:-1] + bytes([data[-1] ^ 1]))
        damaged = snapshots(expect=4)[1]
        assert len(damaged) == len(before) and all("checksum" in d for d in damaged), damaged
        bucket.put_object(Bucket="backups", Key=picture, Body=data)
        pictosync("export", "--dataset", "bucket", "--out", out, "--images", "--snapshots", "2", *base, env=env)
        assert manifests()[1:] == before[:1], (manifests(), before)
        stored = [o["Key"] for page in bucket.get_paginator("list_objects_v2").paginate(Bucket="backups") for o in page.get("Contents", [])]
        contents = [k for k in stored if "/.images/" in k and len(Path(k).name) == 64]
        assert len(contents) == len(pictures), "each content once"
        pictosync("restore", out, "--dataset", "restored", "--create-dataset", "--force-create", "--upload", "missing", *base, env=env | {"XDG_CACHE_HOME": f"{tmp}/third"})
        assert content(client, "restored", tmp) == second, "what came back is not what was there"
        print(f"  {kills} kills, {len(stored)} objects of backups")


def main():
    tally = Tally()
    folder = SHARED / "yolo-detect" if SHARED.is_dir() else ROOT / "testdata" / "shapes"
    with sandbox() as url, storage() as s3:
        tally.run(f"{folder.name} from a bucket, and backups in one", check, folder, url, s3)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
