"""The verb `demo`: a page that learns in its tab, written once and served on this machine."""

import contextlib
import signal
from argparse import Namespace
from pathlib import Path

from rich.console import Console

from metagpt_tf.applications.page import default_presets, deploy_page
from metagpt_tf.cli.progress import Stages
from metagpt_tf.export.page_server import PageServer
from metagpt_tf.files import written_aside

MODELS = "models.json"


def demo(arguments: Namespace) -> int:
    """Write the page where there is none, and serve it until interrupted."""
    console, path = Console(), Path(arguments.path)
    if not (path / MODELS).is_file():
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ValueError(f"{path} is there and holds no page. Give a --path that is new or empty.")
        with Stages("loading") as stages:
            presets = arguments.model or default_presets()
            with written_aside(path) as aside:  # an interrupted page is none
                deploy_page(presets, aside, arguments.codes, arguments.quantization, stages.report)
        console.print(f"wrote {path}", highlight=False)
    elif arguments.model:
        raise ValueError(f"{path} holds a page already. Serve it as it is without --model, or give another --path.")
    if arguments.write_only:
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with PageServer(path, arguments.port) as server:
        console.print(f"{server.url} learns in the tab; stop with ctrl-c", highlight=False, markup=False)
        with contextlib.suppress(KeyboardInterrupt):  # how a server is stopped
            server.wait()
    return 0
