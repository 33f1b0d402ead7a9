"""Hold `pictosync sync` against the official SDK's import_coco.

    python3 bench/sync.py [--images 5000] [--pairs 3] [--only sdk] [--dir DIR] [--lock FILE]

Both import the same COCO file into a service that answers at once (bench serve: the
sandbox checks and keeps everything, which takes longer than a sync, so that nothing
faster than it could be seen), in turn. What is printed, and with all three parts written
into docs/performance.md, are medians of ratios of runs side by side, numbers of requests
and peaks of memory; of the SDK import_coco alone is timed, of pictosync the whole process.

Then pictosync alone: with a latency, against what its requests alone must take, computed and
as a client takes that only sends them again (bench replay); and with its state on a file
system in memory, against the disk.
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
import urllib.request
from pathlib import Path

from measuring import ROOT, build, environment, measure, report, undisturbed

sys.path.insert(0, str(ROOT / "conformance"))
from venvs import venv  # noqa: E402

SDK = "1.69.146"
IMPORT = """
import sys, time, pictograph
start = time.perf_counter()
with pictograph.Client(api_key="pk_live_bench", base_url=sys.argv[1]) as client:
    report = client.annotations.import_coco("bench", sys.argv[2])
assert not report.failures and not report.unmatched_files, report
print("own", time.perf_counter() - start)
print("saved", report.images_saved)
"""
CONCURRENCY = 4  # the default of pictosync
LATENCY = 0.05


class Service:
    """A running service that answers at once, or after a latency."""

    def __init__(self, url):
        self.url = url

    def reset(self):
        urllib.request.urlopen(urllib.request.Request(self.url + "/", method="POST", data=b"")).close()

    def record(self):
        """Reset, and keep what is asked for."""
        urllib.request.urlopen(urllib.request.Request(self.url + "/record", method="POST", data=b"")).close()

    def recorded(self) -> bytes:
        with urllib.request.urlopen(self.url + "/recorded") as answer:
            return answer.read()

    def stats(self):
        with urllib.request.urlopen(self.url + "/") as answer:
            return json.load(answer)


@contextlib.contextmanager
def service(bench, coco, *flags):
    process = subprocess.Popen([bench, "serve", "--coco", coco, *flags], stdout=subprocess.PIPE, text=True)
    try:
        ready = process.stdout.readline().split()
        if not ready:
            raise AssertionError("the service did not start")
        yield Service(ready[-1])
    finally:
        process.terminate()
        process.wait(timeout=30)


def sdk(python, service, coco):
    service.reset()
    done = measure(python, "-c", IMPORT, service.url, coco)
    return done, int(done.output.split()[-1]), service.stats()["requests"]


def sync(command, service, coco, folder, begin=Service.reset):
    begin(service)
    with tempfile.TemporaryDirectory(dir=folder) as state:
        done = measure(command, "sync", coco, "--dataset", "bench", "--base-url", service.url, "--state", f"{state}/state.db", "--rate", "unlimited",
                       "--concurrency", CONCURRENCY, "--json", env=environment(Path(state)) | {"PICTOGRAPH_API_KEY": "pk_live_bench"})
    return done, json.loads(done.output)["images"]["saved"], service.stats()["requests"]


def against_sdk(o, command, bench, coco):
    python = venv(ROOT / "bench" / ".venv-sdk", [f"pictograph=={SDK}"])
    ratios, theirs, ours = [], [], []
    with service(bench, coco) as s:
        for _ in range(o.pairs):
            with undisturbed(o.lock):
                theirs.append(sdk(python, s, coco))
                ours.append(sync(command, s, coco, o.dir))
            ratios.append(theirs[-1][0].own / ours[-1][0].seconds)
            print(f"SDK {theirs[-1][0].own:.2f} s, pictosync {ours[-1][0].seconds:.2f} s", flush=True)
    saved = {n for _, n, _ in theirs + ours}
    assert len(saved) == 1, f"the two saved different numbers of images: {saved}"
    row = "| {} | {} | {} | {:.0f} MiB |\n"
    return (f"{o.images} images ({coco.stat().st_size / 1e6:.0f} MB), {saved.pop()} of them with annotations, into a service that answers at once; {o.pairs} pairs:\n\n"
            "| | speed | requests | peak memory |\n|---|---:|---:|---:|\n"
            + row.format(f"SDK {SDK}, import_coco", 1, theirs[0][2], max(done.anonymous for done, _, _ in theirs))
            + row.format("pictosync sync", f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})", ours[0][2], max(done.anonymous for done, _, _ in ours)))


def against_latency(o, command, bench, coco):
    pages, runs = math.ceil(o.images / 1000), []
    orders = {"": [], "--together": []}
    requests = bench.with_name("requests.json")
    with service(bench, coco, "--latency", f"{LATENCY}s") as s, undisturbed(o.lock):
        sync(command, s, coco, o.dir, Service.record)
        requests.write_bytes(s.recorded())
        for _ in range(3 * o.pairs):
            runs.append(sync(command, s, coco, o.dir))
            for order, bare in orders.items():
                s.reset()
                bare.append(measure(bench, "replay", "--concurrency", CONCURRENCY, *order.split(), s.url, requests).own)
    saves = math.ceil((runs[0][2] - pages - 2) / CONCURRENCY)
    # Each needs the one before: the dataset, the pages, the classes; saves go side by side.
    chain = 1 + pages + 1 + saves
    # But pages can be asked for side by side too, since the dataset says how many there are.
    beside = 1 + math.ceil(pages / CONCURRENCY) + 1 + saves
    # And the first of them together with the dataset.
    together = 1 + math.ceil((pages - 1) / CONCURRENCY) + 1 + saves
    spread = lambda values: f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"  # noqa: E731
    computed = lambda latencies: spread([done.seconds / (latencies * LATENCY) for done, _, _ in runs])  # noqa: E731
    than = lambda bare: spread([done.seconds / alone for (done, _, _), alone in zip(runs, bare)]) + f" ({statistics.median(bare):.2f} s)"  # noqa: E731
    return (f"With {LATENCY * 1000:.0f} ms of latency and {CONCURRENCY} requests at a time, {len(runs)} runs, the start of the process counted with the sync alone:\n\n"
            "| times what the requests alone take | latencies | computed | a bare client with the very same requests |\n|---|---:|---:|---:|\n"
            f"| one after the other but for the saves: dataset, {pages} pages, classes, {saves} rounds of {CONCURRENCY} saves | {chain} | {computed(chain)} | |\n"
            f"| each when it has what it needs: the pages side by side | {beside} | {computed(beside)} | {than(orders[''])} |\n"
            f"| as a sync sends them: the first page together with the dataset | {together} | {computed(together)} | {than(orders['--together'])} |\n")


def against_memory(o, command, bench, coco):
    memory, ratios = "/dev/shm", []
    if not os.path.isdir(memory):
        return "No file system in memory: what the disk costs was not measured.\n"
    with service(bench, coco) as s, undisturbed(o.lock):
        for n in range(5 * o.pairs):
            folders = [o.dir, memory] if n % 2 else [memory, o.dir]
            seconds = {folder: sync(command, s, coco, folder)[0].seconds for folder in folders}
            ratios.append(seconds[o.dir] / seconds[memory])
    low, middle, high = (100 * (r - 1) for r in statistics.quantiles(ratios, n=4))
    return f"The same with the state on a disk takes {middle:+.1f}% of the time with it in memory (median of {len(ratios)} pairs; quartiles {low:+.1f}% and {high:+.1f}%).\n"


# The SDK comes last: behind its minute of work machines that share their processors are slower for
# a while, and what is bound by latencies in part shows that most.
PARTS = {"latency": against_latency, "state": against_memory, "sdk": against_sdk}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--only", choices=PARTS, action="append", help="parts to do; what they say is printed alone")
    parser.add_argument("--dir", help="folder on a disk, for labels and states (default: the system's for temporary files)")
    parser.add_argument("--lock", help="file to lock while something is measured")
    o = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=o.dir) as o.dir:
        folder = Path(o.dir)
        command, bench = build(folder)
        coco = folder / "labels.json"
        subprocess.run([bench, "generate", "--out", coco, "--images", str(o.images)], check=True)
        said = "\n".join(PARTS[part](o, command, bench, coco) for part in o.only or PARTS)
    if o.only:
        print(said)
    else:
        report("sync", said)


if __name__ == "__main__":
    main()
