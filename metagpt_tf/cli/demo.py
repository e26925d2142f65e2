"""The verb `demo`: a page that learns in its tab, written once and served on this machine."""

import contextlib
import signal
from argparse import Namespace
from pathlib import Path

from rich.console import Console

from metagpt_tf.applications.page import default_presets, deploy_page
from metagpt_tf.cli.progress import Stages
from metagpt_tf.export.page_server import PageServer

MODELS = "models.json"


def demo(arguments: Namespace) -> int:
    """Write the page where there is none, and serve it until interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console, path = Console(), Path(arguments.path)
    if not (path / MODELS).is_file():
        with Stages("loading") as stages:
            presets = arguments.model or default_presets()
            deploy_page(presets, path, arguments.codes, arguments.quantization, stages.report)
        console.print(f"wrote {path}", highlight=False)
    elif arguments.model:
        raise ValueError(f"{path} holds a page already. Serve it as it is without --model, or give another --path.")
    if arguments.write_only:
        return 0
    with PageServer(path, arguments.port) as server:
        console.print(f"{server.url} learns in the tab; stop with ctrl-c", highlight=False, markup=False)
        with contextlib.suppress(KeyboardInterrupt):  # how a server is stopped
            server.wait()
    return 0
