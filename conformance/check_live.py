"""Conformance with the vendor's own live tests: those of the SDK's source
distribution, against a running sandbox instead of production."""

import os
import subprocess
import sys
import tempfile

from harness import KEY, Tally, sandbox

SOURCE = os.environ["PICTOGRAPH_SDK_SOURCE"]
TESTS = ["test_exports_live.py", "test_images_live.py", "test_upload_from_folder_live.py", "test_datasets_crud_live.py", "test_annotations_live.py"]


def check(test, url):
    with tempfile.TemporaryDirectory() as tmp:
        environment = os.environ | {"PICTOGRAPH_TEST_KEY": KEY, "PICTOGRAPH_TEST_BASE_URL": url}
        done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-m", "live", "-p", "no:cacheprovider", "--basetemp", f"{tmp}/pytest", f"tests/live/{test}"],
                              cwd=SOURCE, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"   {done.stdout.splitlines()[-1]}")


def main():
    tally = Tally()
    with sandbox() as url:
        for test in TESTS:
            tally.run(f"the vendor's {test}", check, test, url)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
