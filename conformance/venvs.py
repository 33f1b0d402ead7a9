"""Venvs that hold other people's packages, and what else these come with, made
when they are first asked for."""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path


def venv(folder: Path, packages: list[str]) -> Path:
    """The Python of a venv that holds these packages."""
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if ready.exists() and ready.read_text() == " ".join(packages):
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], check=True)
    ready.write_text(" ".join(packages))
    return python


def source_of(python: Path, package: str) -> Path:
    """The source distribution of a package (NAME==VERSION), unpacked beside the
    venv's Python: tests are in no wheel."""
    name, version = package.split("==")
    folder = python.parent.parent / "sources"
    if folder.is_dir():
        return folder / f"{name}-{version}"
    with tempfile.TemporaryDirectory(dir=python.parent.parent) as tmp:
        subprocess.run([python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", name, "--dest", tmp, package], check=True)
        with tarfile.open(Path(tmp) / f"{name}-{version}.tar.gz") as archive:
            archive.extractall(Path(tmp) / "sources", filter="data")
        (Path(tmp) / "sources").rename(folder)
    return folder / f"{name}-{version}"
