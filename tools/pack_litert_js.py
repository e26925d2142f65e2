"""Pack LiteRT.js for the page in a browser: metagpt_tf/export/kits/runtime/, about 2 MB.

`python tools/pack_litert_js.py` fetches the packages by npm; `--from node_modules` takes what is there. Of the four
builds of the runtime it keeps the one that every browser with WebAssembly SIMD runs; on a desktop it was as fast as the
build with relaxed SIMD, and the one with threads was no faster for models of a million weights. One line is changed: a
worker knows no import map, so `@litertjs/core` imports `@litertjs/wasm-utils` by its file.
"""

import argparse
import hashlib
import lzma
import subprocess
import tempfile
from pathlib import Path

VERSION = "2.5.3"
ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "metagpt_tf" / "export" / "kits" / "runtime"
FILES = {
    "litert.js": "core/dist/index.js",
    "wasm-utils.js": "wasm-utils/dist/index.js",
    "litert_wasm_compat_internal.js": "core/wasm/litert_wasm_compat_internal.js",
    "litert_wasm_compat_internal.wasm": "core/wasm/litert_wasm_compat_internal.wasm",
}
IMPORT = b'from "@litertjs/wasm-utils"'

NOTICE = f"""LiteRT.js: @litertjs/core {VERSION} and @litertjs/wasm-utils {VERSION}
https://github.com/google-ai-edge/LiteRT
Copyright 2025 Google LLC. Licensed under the Apache License, Version 2.0; the text is in LICENSE.
Changed: in litert.js, the import of @litertjs/wasm-utils names the file beside it; links to source maps are gone.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="modules", type=Path, help="a node_modules that has both packages")
    modules = parser.parse_args().modules
    if modules is not None:
        pack(modules)
        return
    with tempfile.TemporaryDirectory() as folder:
        packages = [f"@litertjs/{name}@{VERSION}" for name in ("core", "wasm-utils")]
        subprocess.run(["npm", "install", "--prefix", folder, "--ignore-scripts", *packages], check=True)
        pack(Path(folder) / "node_modules")


def pack(modules: Path) -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    contents = {name: (modules / "@litertjs" / path).read_bytes() for name, path in FILES.items()}
    if contents["litert.js"].count(IMPORT) != 1:
        raise SystemExit(f"@litertjs/core imports otherwise than in {VERSION}: look at its dist/index.js.")
    contents["litert.js"] = contents["litert.js"].replace(IMPORT, b'from "./wasm-utils.js"')
    for name in ("litert.js", "wasm-utils.js"):
        contents[name] = contents[name].split(b"\n//# sourceMappingURL")[0] + b"\n"
    contents |= {"NOTICE": NOTICE.encode(), "LICENSE": (ROOT / "LICENSE").read_bytes()}
    for name, content in contents.items():
        (TARGET / f"{name}.xz").write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(contents.items())]
    (TARGET / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    print(f"{len(contents)} files, {sum(path.stat().st_size for path in TARGET.iterdir()):,} bytes in {TARGET}")


if __name__ == "__main__":
    main()
