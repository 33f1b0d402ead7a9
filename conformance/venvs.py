"""Venvs that hold other people's packages, made when they are first asked for."""

import subprocess
import sys
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
