"""Running a LiteRT file in a tab of headless Chromium, by the code of the page itself."""

import base64
import contextlib
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from metagpt_tf.export.device_calls import DeviceCalls
from metagpt_tf.export.device_kit import kit_files, runtime_files, write_files
from metagpt_tf.export.page_server import PageServer
from metagpt_tf.export.readers.base import Unreadable
from metagpt_tf.export.seal import read_about

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
LONGEST = 120_000  # milliseconds until a page is there; a call has as many, in SCRIPT
SCRIPT = """async ({ signature, inputs }) => {
  const { Learner } = await import("/model.js");
  window.learner ??= await Learner.open("model.tflite");
  const kinds = { float32: Float32Array, int32: Int32Array };
  const given = {};
  for (const [name, [kind, text]] of Object.entries(inputs)) {
    given[name] = new kinds[kind](Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  }
  const began = performance.now();
  const late = new Promise((_, no) => setTimeout(() => no(new Error("no answer in 120 s")), 120000));
  const found = await Promise.race([window.learner.run(signature, given), late]);
  const milliseconds = performance.now() - began;
  const packed = (values) => {
    const bytes = new Uint8Array(values.buffer);
    let text = "";
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return [values instanceof Float32Array ? "float32" : "int32", btoa(text)];
  };
  return [milliseconds, Object.fromEntries(Object.entries(found).map(([name, values]) => [name, packed(values)]))];
}"""


def chromium() -> str:
    """Path of the Chromium that is installed.

    Raises:
        Unreadable: none is.
    """
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise Unreadable(f"no Chromium: none of {', '.join(NAMES)} is installed")
    return found


@contextlib.contextmanager
def browser() -> Any:
    """A headless Chromium, driven by `playwright` (extra: browser).

    Raises:
        Unreadable: Chromium or playwright is missing.
    """
    path = chromium()
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise Unreadable(f"playwright is not installed: pip install metagpt_tf[browser] ({error})") from error
    with sync_playwright() as driver:
        # As root, which containers are, Chromium runs without its sandbox only; the one page in it is ours.
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        try:
            opened = driver.chromium.launch(executable_path=path, args=arguments)
        except Error as error:
            raise Unreadable(f"{path} does not start: {error}") from error
        try:
            yield opened
        finally:
            opened.close()


class BrowserRunner(DeviceCalls):
    """The calls of a file, answered by LiteRT.js in a tab; slow to open, for comparison and for measuring.

    Args:
        path: the `.tflite` file.

    Attributes:
        milliseconds: of the last call, inside the tab.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file.
        Unreadable: Chromium or playwright is missing.

    Example:

    >>> with BrowserRunner("model.tflite") as runner:  # doctest: +SKIP
    ...     state = runner.adapt(support_x, support_y)
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.about = read_about(path)
        self.milliseconds = 0.0
        # A thread of its own: playwright refuses one that runs an event loop, as a notebook's does.
        self._thread = ThreadPoolExecutor(1)
        try:
            self._thread.submit(self._open_tab, Path(path)).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def _open_tab(self, path: Path) -> None:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="metagpt_tf_")))
            write_files(folder, kit_files("web"))
            write_files(folder / "runtime", runtime_files())
            write_files(folder, {"index.html": b"<!doctype html><title>Comparison</title>"})
            shutil.copyfile(path, folder / "model.tflite")
            server = stack.enter_context(PageServer(folder))
            self._page = stack.enter_context(browser()).new_page()
            self._page.set_default_timeout(LONGEST)
            self._page.goto(server.url)
            self._open = stack.pop_all()

    def _run(self, signature: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        specs = self.about["signatures"][signature]
        inputs = {n: [specs[n][0], base64.b64encode(a.tobytes()).decode()] for n, a in arrays.items()}
        call = self._thread.submit(self._page.evaluate, SCRIPT, {"signature": signature, "inputs": inputs})
        self.milliseconds, found = call.result()
        outputs = self.about["outputs"][signature]
        return {
            name: np.frombuffer(base64.b64decode(text), kind).reshape(outputs[name][1])
            for name, (kind, text) in found.items()
        }

    def close(self) -> None:
        """Close the tab, its browser and its server."""
        self._thread.submit(self._open.close).result()
        self._thread.shutdown()

    def __enter__(self) -> "BrowserRunner":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
