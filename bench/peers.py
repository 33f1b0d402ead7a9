"""Run others who read COCO and YOLO, and pictosync, in turn on the same files.

    python3 bench/peers.py [--files small,large,yolo] [--pairs 5] [--lock FILE]

Installs each in a venv of its own beside this file, and writes the ratios into
docs/performance.md. What cannot be installed or run is said there.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import HERE, ROOT, build, conversion, environment, measure, report, undisturbed

sys.path.insert(0, str(ROOT / "conformance"))
from venvs import venv  # noqa: E402

SDK = "official SDK"
# The packages of each, what it reads, and what it does with the file at sys.argv[1].
PEERS = {
    SDK: (["pictograph==1.69.146"], "polygons", "import json; from pictograph.formats import from_coco; from_coco(json.load(open(F)))"),
    "datumaro": (["datumaro"], "polygons", "import datumaro; d = datumaro.Dataset.import_from(F, 'coco_instances'); assert sum(len(i.annotations) for i in d)"),
    "labelformat": (["labelformat"], "polygons", "from labelformat.formats import COCOInstanceSegmentationInput as I; from pathlib import Path; assert sum(len(l.objects) for l in I(input_file=Path(F)).get_labels())"),
    "pycocotools": (["pycocotools"], "polygons, as they stand", "from pycocotools.coco import COCO; COCO(F)"),
    "globox": (["globox"], "boxes only", "from globox import AnnotationSet; assert len(AnnotationSet.from_coco(F))"),
    "panlabel": (["panlabel==0.7.0"], "boxes only, and writes them", "import os; import subprocess; import sys; subprocess.run([os.path.join(os.path.dirname(sys.executable), 'panlabel'), 'convert', '-f', 'coco', '-t', 'create-ml', '-i', F, '-o', F + '.panlabel', '--allow-lossy'], check=True, capture_output=True)"),
    "Python's json": ([], "JSON only", "import json; json.load(open(F))"),
    "pysimdjson": (["pysimdjson"], "JSON only", "import simdjson; simdjson.Parser().load(F)"),
}
# Modules are loaded before the clock starts: what is compared is the work.
CHILD = "import sys, time; F = sys.argv[1]\n{imports}\nstart = time.monotonic()\n{work}\nprint('own', time.monotonic() - start)"

FILES = {
    "small": ("5,000 images", ["--images", "5000"]),
    "large": ("118,000 images, as COCO's training set", []),
}
# This takes minutes and most of the memory of a machine: it is run once, and
# pictosync as often as ever after it.
ONCE = {("large", SDK)}


def child(statements: str) -> str:
    parts = statements.split("; ")
    imports = [p for p in parts if p.startswith(("import ", "from "))]
    return CHILD.format(imports="\n".join(imports), work="\n".join(p for p in parts if p not in imports))


def cached(file):
    """Brings a file into the page cache."""
    with open(file, "rb", buffering=0) as f:
        while f.read(1 << 20):
            pass


def pairs_of(name, peer, file, tools, pairs, once, lock, work):
    """Ratios of time and the memory of both, of runs in turn."""
    python, statements = peer
    command, env = tools
    ratios, theirs, ours, seconds = [], [], [], []
    other = None
    for _ in range(pairs):
        with undisturbed(lock):
            if not (once and other):
                cached(file)
                other = measure(python, "-c", child(statements), file)
            cached(file)  # what needs most of the memory has driven it out
            own = conversion(command, file, work, env)
        ratios.append(other.own / own.seconds)
        seconds.append(own.seconds)
        theirs.append(other.anonymous)
        ours.append(own.anonymous)
        print(f"{file.name} {name}: {other.own:.2f} s and {own.seconds:.2f} s", flush=True)
    return ratios, max(theirs), max(ours)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", default="small,large")
    options.add_argument("--peers", default=",".join(PEERS))
    options.add_argument("--pairs", type=int, default=5)
    options.add_argument("--lock", help="a file that is locked while something is measured")
    options.add_argument("--work", help="a folder for the labels (default: a temporary one)")
    o = options.parse_args()
    kept = HERE / ".peers.json"  # results of earlier runs for other files or peers
    results = json.loads(kept.read_text()) if kept.exists() else {}
    work = Path(o.work or tempfile.mkdtemp())
    work.mkdir(exist_ok=True)
    command, bench = build(work)
    env = environment(work)
    for file in o.files.split(","):
        path = work / "annotations" / f"instances_{file}.json"
        for folder in ["annotations", "images"]:  # as datumaro wants them
            (work / folder).mkdir(exist_ok=True)
        if not path.exists():
            subprocess.run([bench, "generate", "--out", path, *FILES[file][1]], check=True)
        for name in o.peers.split(","):
            packages, reads, statements = PEERS[name]
            try:
                python = venv(HERE / f".venv-{name.replace(' ', '-').replace(chr(39), '')}", packages) if packages else Path(sys.executable)
                once = (file, name) in ONCE
                ratios, theirs, ours = pairs_of(name, (python, statements), path, (command, env), o.pairs, once, o.lock, work)
                results[f"{file}/{name}"] = [statistics.median(ratios), min(ratios), max(ratios), 1 if once else len(ratios), len(ratios), theirs, ours]
            except (subprocess.CalledProcessError, RuntimeError, OSError) as e:
                results[f"{file}/{name}"] = "could not be run: " + " ".join(str(e).split())[-150:]
            kept.write_text(json.dumps(results))
    if not o.work:
        shutil.rmtree(work)
    report("peers", table(results))
    return 0


def table(results) -> str:
    lines = []
    for file, (what, _) in FILES.items():
        rows = [(name, results[f"{file}/{name}"]) for name in PEERS if f"{file}/{name}" in results]
        if not rows:
            continue
        lines += [f"### {what}", "", "| | reads | times slower than pictosync: median | lowest and highest | runs of it and of pictosync | its memory, MiB | pictosync's, MiB |", "|---|---|--:|--:|--:|--:|--:|"]
        for name, result in rows:
            if isinstance(result, str):
                lines.append(f"| {name} | {PEERS[name][1]} | {result.replace('|', ' ')} | | | | |")
                continue
            median, low, high, runs, own_runs, theirs, ours = result
            lines.append(f"| {name} | {PEERS[name][1]} | {median:.3g} | {low:.3g} to {high:.3g} | {runs} and {own_runs} | {theirs:,.0f} | {ours:,.0f} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
