"""Hold `pictosync sync` against the official SDK's import_coco.

    python3 bench/sync.py [--images 5000] [--pairs 3] [--dir DIR]

Both import the same COCO file into a service that answers at once (bench/serve: the
sandbox checks and keeps everything, which takes longer than a sync, so that nothing
faster than it could be seen), in turn. The SDK's venv is that of the conformance
checks. What is printed are medians of ratios of runs side by side, numbers of requests
and peaks of resident memory; of the SDK import_coco alone is timed, of pictosync the
whole process.

Then pictosync alone: with a latency, against what its requests alone must take; and with
its state on a file system in memory, against the disk.
"""

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "conformance"))
from run import venv  # noqa: E402

SDK = "1.69.146"
IMPORT = """
import sys, time, pictograph
start = time.perf_counter()
with pictograph.Client(api_key="pk_live_bench", base_url=sys.argv[1]) as client:
    report = client.annotations.import_coco("bench", sys.argv[2])
assert not report.failures and not report.unmatched_files, report
print(time.perf_counter() - start, report.images_saved)
"""
CONCURRENCY = 4  # the default of pictosync
LATENCY = 0.05


class Service:
    """A running service that answers at once, or after a latency."""

    def __init__(self, url):
        self.url = url

    def reset(self):
        urllib.request.urlopen(urllib.request.Request(self.url + "/", method="POST", data=b"")).close()

    def stats(self):
        with urllib.request.urlopen(self.url + "/") as answer:
            return json.load(answer)


@contextlib.contextmanager
def service(command, coco, *flags):
    process = subprocess.Popen([command, "--coco", coco, *flags], stdout=subprocess.PIPE, text=True)
    try:
        ready = process.stdout.readline().split()
        if not ready:
            raise AssertionError("the service did not start")
        yield Service(ready[-1])
    finally:
        process.terminate()
        process.wait(timeout=30)


def measured(*command, env=None):
    """Run a command: seconds, peak of resident memory in MiB, standard output."""
    start = time.perf_counter()
    process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, text=True, env=env)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise AssertionError(f"{command}: exit {process.returncode}\n{out}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024, out


def sdk(python, service, coco):
    service.reset()
    _, memory, out = measured(python, "-c", IMPORT, service.url, coco)
    seconds, saved = out.split()
    return {"seconds": float(seconds), "memory": memory, "saved": int(saved), "requests": service.stats()["requests"]}


def sync(command, service, coco, folder):
    service.reset()
    with tempfile.TemporaryDirectory(dir=folder) as state:
        seconds, memory, out = measured(command, "sync", coco, "--dataset", "bench", "--base-url", service.url, "--state", f"{state}/state.db", "--rate", "unlimited",
                                        "--concurrency", CONCURRENCY, "--json", env=os.environ | {"PICTOGRAPH_API_KEY": "pk_live_bench"})
    images = json.loads(out)["images"]
    return {"seconds": seconds, "memory": memory, "saved": images["saved"], "requests": service.stats()["requests"]}


def median(values):
    return statistics.median(values)


def against_sdk(o, commands, python, coco):
    theirs, ours = [], []
    with service(commands["serve"], coco) as s:
        for _ in range(o.pairs):
            theirs.append(sdk(python, s, coco))
            ours.append(sync(commands["pictosync"], s, coco, o.dir))
    saved = {r["saved"] for r in theirs + ours}
    assert len(saved) == 1, f"the two saved different numbers of images: {saved}"
    print(f"\n{o.images} images ({coco.stat().st_size / 1e6:.0f} MB), {saved.pop()} of them with annotations, {o.pairs} pairs; a service that answers at once\n")
    print("| | time, of the SDK's | requests | peak memory |\n|---|---:|---:|---:|")
    print(f"| SDK {SDK} import_coco | 1 | {median(r['requests'] for r in theirs):.0f} | {median(r['memory'] for r in theirs):.0f} MiB |")
    ratio = median(t["seconds"] / u["seconds"] for t, u in zip(theirs, ours))
    print(f"| pictosync sync | 1/{ratio:.1f} | {median(r['requests'] for r in ours):.0f} | {median(r['memory'] for r in ours):.0f} MiB |")


def against_latency(o, commands, coco):
    pages, saves = math.ceil(o.images / 1000), 0
    ratios = []
    with service(commands["serve"], coco, "--latency", f"{LATENCY}s") as s:
        for _ in range(3 * o.pairs):
            r = sync(commands["pictosync"], s, coco, o.dir)
            saves = r["requests"] - pages - 2
            # Each needs the one before: the dataset, its pages, the classes; then saves side by side.
            ratios.append(r["seconds"] / (LATENCY * (1 + pages + 1 + math.ceil(saves / CONCURRENCY))))
    print(f"\nWith {LATENCY * 1000:.0f} ms of latency: {median(ratios):.2f} times what the requests alone take (from {min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} runs).\n"
          f"That is the dataset, {pages} pages, the classes, each after the one before, and {saves} saves, {CONCURRENCY} at a time: {1 + pages + 1 + math.ceil(saves / CONCURRENCY)} latencies.")


def against_memory(o, commands, coco):
    if not os.path.isdir("/dev/shm"):
        print("\nNo file system in memory: what the disk costs is not measured.")
        return
    ratios = []
    with service(commands["serve"], coco) as s:
        for n in range(4 * o.pairs):
            pair = {}
            for folder in [o.dir, "/dev/shm"] if n % 2 else ["/dev/shm", o.dir]:
                pair[folder] = sync(commands["pictosync"], s, coco, folder)["seconds"]
            ratios.append(pair[o.dir] / pair["/dev/shm"])
    print(f"\nThe state on the disk: {(median(ratios) - 1) * 100:+.1f}% of the time with it in memory (median of {len(ratios)} pairs, quartiles {quartiles(ratios)}).")


def quartiles(ratios):
    low, _, high = statistics.quantiles(ratios, n=4)
    return f"{(low - 1) * 100:+.1f}% and {(high - 1) * 100:+.1f}%"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--dir", default=None, help="folder on a disk, for labels and states (default: the system's for temporary files)")
    parser.add_argument("--only", choices=["sdk", "latency", "state"], action="append")
    o = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=o.dir) as tmp:
        o.dir = tmp
        commands = {}
        for name, package in {"pictosync": "./cmd/pictosync", "serve": "./bench/serve", "generate": "./bench/generate"}.items():
            commands[name] = Path(tmp) / name
            subprocess.run(["go", "build", "-o", commands[name], package], cwd=ROOT, check=True)
        coco = Path(tmp) / "labels.json"
        subprocess.run([commands["generate"], "--out", coco, "--images", str(o.images)], check=True)
        wanted = o.only or ["sdk", "latency", "state"]
        if "sdk" in wanted:
            against_sdk(o, commands, venv(SDK), coco)
        if "latency" in wanted:
            against_latency(o, commands, coco)
        if "state" in wanted:
            against_memory(o, commands, coco)


if __name__ == "__main__":
    main()
