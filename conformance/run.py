"""Hold pictosync against the official SDK, both of its lines.

    python3 conformance/run.py

Makes a venv for each line of the SDK beside this file, builds the command, and
runs check_path.py and check_upload.py (1.69, path dialect), check_s3.py (moto's S3), check_live.py (the vendor's live tests),
check_masks.py and check_drawn.py (pycocotools) and check_image_id.py (1.67, image-id dialect)
against it. Where Python's venv or the package index is missing it
says so and skips; with CI set in the environment that is a failure.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from venvs import source_of, venv

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# The checks of each line of the SDK, and what else their venv holds.
CHECKS = {
    "1.69.146": ["check_path.py", "check_upload.py", "check_s3.py", "check_live.py", "check_masks.py", "check_drawn.py"],
    "1.67.17": ["check_image_id.py"],
}
# Whose source distribution is wanted, for the tests in it.
LIVE = "1.69.146"
BESIDES = {"1.69.146": ["pycocotools==2.0.11", "numpy", "pytest==9.2.0", "moto[s3,server]==5.2.1"]}


def skip(reason: str) -> int:
    if os.environ.get("CI"):
        print(f"conformance: FAILED: {reason}")
        return 1
    print(f"conformance: SKIPPED: {reason}")
    return 0


def main() -> int:
    pythons = {}
    for version in CHECKS:
        try:
            pythons[version] = venv(HERE / f".venv-{version}", [f"pictograph=={version}", *BESIDES.get(version, [])])
        except (subprocess.CalledProcessError, OSError) as e:
            return skip(f"the SDK {version} could not be installed: {e}")
    try:
        source = source_of(pythons[LIVE], f"pictograph=={LIVE}")
    except (subprocess.CalledProcessError, OSError) as e:
        return skip(f"the sources of the SDK {LIVE} could not be had: {e}")
    failed = 0
    with tempfile.TemporaryDirectory() as tmp:
        command = Path(tmp) / "pictosync"
        subprocess.run(["go", "build", "-o", command, "./cmd/pictosync"], cwd=ROOT, check=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PICTOGRAPH_", "PICTOSYNC_"))}
        environment |= {"PICTOSYNC": str(command), "PICTOGRAPH_SDK_SOURCE": str(source), "XDG_STATE_HOME": str(Path(tmp) / "state"), "PYTHONDONTWRITEBYTECODE": "1"}
        for version, checks in CHECKS.items():
            for check in checks:
                print(f"== SDK {version}: {check}", flush=True)
                failed += subprocess.run([pythons[version], HERE / check], env=environment, cwd=ROOT).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
