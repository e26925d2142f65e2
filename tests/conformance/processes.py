"""A new interpreter, for tests of what a stranger's process can load."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `code` with the package of this working tree on its path."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
