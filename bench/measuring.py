"""How the scripts beside this one measure, and where they write what they found."""

import contextlib
import fcntl
import os
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
REPORT = ROOT / "docs" / "performance.md"


class Measured:
    """What a process took: seconds from start to end, those it says that its work
    took where it does, and MiB of memory that is not page cache."""

    def __init__(self, seconds, own, anonymous, output):
        self.seconds, self.own, self.anonymous, self.output = seconds, own, anonymous, output


def measure(*command, env=None) -> Measured:
    """Run a command. Its memory is the peak of RssAnon, looked at every 5 ms: the
    pages of its own, without those of files it has mapped, which the system takes
    back whenever it needs them."""
    peak = 0
    ended = threading.Event()

    def look(pid):
        nonlocal peak
        while not ended.wait(0.005):
            with contextlib.suppress(OSError, ValueError):
                status = Path(f"/proc/{pid}/status").read_text()
                if found := re.search(r"RssAnon:\s+(\d+) kB", status):
                    peak = max(peak, int(found[1]))

    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=errors, text=True, env=env)
        looking = threading.Thread(target=look, args=[process.pid])
        looking.start()
        process.wait()  # for its end itself, and not until it is looked at next
        seconds = time.monotonic() - start
        ended.set()
        looking.join()
        output = process.stdout.read()
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(f"{Path(str(command[0])).name} exits with {process.returncode}: {errors.read()[-300:].strip()}")
    own = re.search(r"^own ([\d.]+)$", output, re.MULTILINE)
    return Measured(seconds, float(own[1]) if own else seconds, peak / 1024, output)


def conversion(command, labels, work, env) -> Measured:
    """A conversion into canonical lines, without an output that it would replace: to
    let go of a gigabyte is no part of it."""
    out = work / "out.jsonl"
    out.unlink(missing_ok=True)
    return measure(command, "convert", labels, "--to", "canonical", "--out", out, "--quiet", env=env)


@contextlib.contextmanager
def undisturbed(lock):
    """Hold a lock file while something is measured, so that others who do so on
    the same machine wait."""
    if not lock:
        yield
        return
    with open(lock, "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def build(folder: Path) -> tuple[Path, Path]:
    """The command, and what makes labels and measures."""
    for package, flags in [("./cmd/pictosync", ["-pgo=bench/convert.pgo"]), ("./bench", [])]:  # as make build does
        subprocess.run(["go", "build", *flags, "-o", f"{folder}/", package], cwd=ROOT, check=True)
    return folder / "pictosync", folder / "bench"


def environment(folder: Path) -> dict:
    """An environment without settings of the one who measures."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PICTOGRAPH_", "PICTOSYNC_", "GO"))} | {"XDG_STATE_HOME": str(folder / "state")}


def report(section: str, text: str):
    """Put text between the marks of a section in the report, and print it."""
    begin, end = f"<!-- {section}: made by make bench-{section} -->", f"<!-- end of {section} -->"
    whole = REPORT.read_text()
    first, last = whole.index(begin) + len(begin), whole.index(end)
    REPORT.write_text(whole[:first] + "\n" + text.strip() + "\n" + whole[last:])
    print(text)
