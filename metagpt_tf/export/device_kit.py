"""What stands beside a LiteRT file on a device, and the page that runs it in a browser tab.

The files lie in `kits/`; `export/litert/` and `export/web/` of the repository hold copies that a test keeps equal. The
runtime of the page, LiteRT.js, is packed: 2 MB in the package, so that a newcomer without a network or npm has it.
"""

import hashlib
import json
import lzma
import os
from pathlib import Path

from metagpt_tf.files import written_aside

KITS = Path(__file__).with_name("kits")
RUNTIME = KITS / "runtime"
SUMS, SERVICE_FILES = "SHA256SUMS", "files.json"


def kit_files(name: str) -> dict[str, bytes]:
    """The files of a kit, `"litert"` or `"web"`, by their names."""
    return {path.name: path.read_bytes() for path in sorted((KITS / name).iterdir()) if path.is_file()}


def runtime_files(directory: str | os.PathLike | None = None) -> dict[str, bytes]:
    """LiteRT.js by its files' names, each compared with its hash.

    Args:
        directory: of another build that has files of the same names; `None` for the one that comes with the package.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a packed file is not as it was packed.
    """
    lines = (RUNTIME / SUMS).read_text(encoding="utf-8").splitlines()
    expected = {name: digest for digest, name in (line.split("  ") for line in lines)}
    if directory is not None:
        missing = [name for name in expected if not (Path(directory) / name).is_file()]
        if missing:
            raise FileNotFoundError(f"{directory} lacks {', '.join(missing)}; see tools/pack_litert_js.py.")
        return {name: (Path(directory) / name).read_bytes() for name in expected}
    return {name: _unpacked(name, digest) for name, digest in expected.items()}


def _unpacked(name: str, digest: str) -> bytes:
    content = lzma.decompress((RUNTIME / f"{name}.xz").read_bytes())
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{name} of LiteRT.js is not as it was packed. Install metagpt_tf again.")
    return content


def write_files(directory: Path, files: dict[str, bytes], keep: bool = False) -> None:
    """Write files, each aside and renamed; with `keep`, those that are there stay as they are."""
    for name, content in files.items():
        if not (keep and (directory / name).exists()):
            with written_aside(directory / name) as aside:
                aside.write_bytes(content)


def list_for_service_worker(directory: Path) -> None:
    """Write `files.json`: what a browser keeps so that the page works without a network."""
    own = {SERVICE_FILES, "README.md"}
    names = sorted(p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file())
    listed = [name for name in names if name not in own and not any(part.startswith(".") for part in name.split("/"))]
    write_files(directory, {SERVICE_FILES: json.dumps(listed, indent=1).encode() + b"\n"})
