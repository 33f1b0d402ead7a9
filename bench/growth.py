"""How the time and memory of a conversion grow with the number of images.

    python3 bench/growth.py [--coco 1000,10000,…] [--boxes …] [--yolo …] [--runs 3] [--lock FILE]

Writes tables into docs/performance.md.
"""

import argparse
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import build, conversion, environment, measure, report, undisturbed, ROOT

GENERATED = {
    "coco": [],
    "boxes": ["--annotations-per-image", "1"],
    "yolo": ["--format", "yolo", "--annotations-per-image", "7", "--masks", "0.1", "--per-folder", "1000", "--pictures"],
}


# Of more than a million labels and images those behind these are hard links: the files
# alone would take 80 GB.
DISTINCT = 100_000

KINDS = {
    "coco": "One COCO file, 9.3 annotations an image in random order",
    "boxes": "One COCO file, one annotation an image in random order",
    "yolo": "A YOLO folder, 7 lines a label, with an image for each",
}


def grown(kind, images, o, work, command, bench, env):
    """Seconds, the ratio to a plain read, and memory of one size."""
    source = work / f"{kind}-{images}"
    made = not source.exists()
    if made:
        links = ["--distinct", str(DISTINCT)] if kind == "yolo" and images > 1_000_000 else []
        subprocess.run([bench, "generate", "--out", source, "--images", str(images), *GENERATED[kind], *links], check=True)
    seconds, ratios, memory = [], [], []
    for turn in range((o.runs if images < 10_000_000 else 1) + 1):
        with undisturbed(o.lock):
            plain = measure(bench, "read", source)
            own = conversion(command, source, work, env)
        print(f"{kind} {images}: read in {plain.seconds:.2f} s, converted in {own.seconds:.2f} s, {own.anonymous:.0f} MiB", flush=True)
        if turn == 0:
            continue  # it brings the files into the page cache
        seconds.append(own.seconds)
        ratios.append(own.seconds / plain.seconds)
        memory.append(own.anonymous)
    if made and not o.keep:
        shutil.rmtree(source) if source.is_dir() else source.unlink()
    (work / "out.jsonl").unlink(missing_ok=True)
    return statistics.median(seconds), statistics.median(ratios), max(memory)


def exponent(before, now):
    """k where now grows with the k-th power of the images, to the next size."""
    (images, value), (images_now, value_now) = before, now
    return math.log(value_now / value) / math.log(images_now / images)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--coco", default="1000,10000,100000,1000000")
    options.add_argument("--boxes", default="1000,10000,100000,1000000,10000000")
    options.add_argument("--yolo", default="1000,10000,100000,1000000,10000000")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--lock", help="a file that is locked while something is measured")
    options.add_argument("--work", help="a folder for the labels (default: a temporary one)")
    options.add_argument("--keep", action="store_true", help="leave the labels there")
    o = options.parse_args()
    work = Path(o.work or tempfile.mkdtemp())
    work.mkdir(exist_ok=True)
    command, bench = build(work)
    env = environment(work)
    lines = []
    for kind, title in KINDS.items():
        sizes = getattr(o, kind)
        lines += [f"### {title}", "", "| images | seconds (median) | exponent | times a plain read of the same files | MiB, not page cache | exponent |", "|--:|--:|--:|--:|--:|--:|"]
        last = None
        for images in map(int, filter(None, sizes.split(","))):
            seconds, ratio, memory = grown(kind, images, o, work, command, bench, env)
            of_time = f"{exponent((last[0], last[1]), (images, seconds)):.2f}" if last else ""
            of_memory = f"{exponent((last[0], last[2]), (images, memory)):.2f}" if last else ""
            lines.append(f"| {images:,} | {seconds:.3g} | {of_time} | {ratio:.3g} | {memory:,.0f} | {of_memory} |")
            last = images, seconds, memory
            report("growth", "\n".join(lines))
        lines.append("")
    if not o.work:
        shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
