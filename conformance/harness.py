"""What both checks share: the command, a running sandbox, a tally."""

import contextlib
import json
import os
import subprocess
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = os.environ["PICTOSYNC"]
SHARED = ROOT.parent / "shared" / "data"
KEY = "pk_live_conformance"


class Tally:
    """Counts checks and says the total in the form that test runners use."""

    def __init__(self):
        self.passed, self.failed = 0, 0

    def run(self, name, check, *args):
        try:
            check(*args)
        except Exception:
            self.failed += 1
            print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
        else:
            self.passed += 1
            print(f"ok {name}", flush=True)

    def close(self) -> int:
        print(f"conformance: {self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0


def pictosync(*args, env=None, expect=0):
    """Run the command; its standard output."""
    done = subprocess.run([COMMAND, *map(str, args)], capture_output=True, text=True, env=os.environ | (env or {}))
    if done.returncode != expect:
        raise AssertionError(f"pictosync {args}: exit {done.returncode}, want {expect}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def sync(source, dataset, url, state, *flags, expect=0):
    out = pictosync("sync", source, "--dataset", dataset, "--base-url", url, "--state", state, "--rate", "unlimited", "--json", *flags,
                    env={"PICTOGRAPH_API_KEY": KEY}, expect=expect)
    return json.loads(out)


def converted(source, *flags, expect=0):
    """The source as canonical annotations: image path to list."""
    with tempfile.TemporaryDirectory() as tmp:
        out = Path(tmp) / "out.jsonl"
        pictosync("convert", source, "--to", "canonical", "--out", out, "--quiet", *flags, expect=expect)
        lines = [json.loads(line) for line in out.read_text().splitlines()]
    return {line["image"]: line for line in lines}


@contextlib.contextmanager
def sandbox(*flags):
    """A running sandbox; its address."""
    with tempfile.TemporaryDirectory() as tmp:
        process = subprocess.Popen([COMMAND, "sandbox", "--listen", "127.0.0.1:0", "--db", f"{tmp}/sandbox.db", "--api-key", f"{KEY}:owner", *flags],
                                   stdout=subprocess.PIPE, text=True)
        try:
            ready = process.stdout.readline().split()
            if not ready:
                raise AssertionError("the sandbox did not start")
            yield ready[-1]
        finally:
            process.terminate()
            process.wait(timeout=30)
