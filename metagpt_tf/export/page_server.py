"""Serving a deployed page on this machine: right types, a strict policy, nothing outside the folder."""

import functools
import http.server
import logging
import os
import threading
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    "": "application/octet-stream",
}
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class _Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = TYPES
    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        self.send_error(404, "There is no list of files")

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


class PageServer:
    """A folder at `http://127.0.0.1:<port>/`, until it is closed; for one user, on this machine.

    Args:
        directory: what `deploy_model(…, "web", directory)` wrote.
        port: 0 for any free one.

    Raises:
        FileNotFoundError: no page is there.
        OSError: the port is taken.

    Example:

    >>> with PageServer("page") as server:  # doctest: +SKIP
    ...     server.wait()
    """

    def __init__(self, directory: str | os.PathLike, port: int = 0) -> None:
        if not (Path(directory) / "index.html").is_file():
            raise FileNotFoundError(f"There is no page in {directory}. deploy_model(learner, 'web', path) writes one.")
        handler = functools.partial(_Handler, directory=os.fspath(directory))
        try:
            self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
        except OSError as error:
            raise OSError(
                error.errno,
                f"Port {port} of this machine cannot be used ({error.strerror}). Give another, or 0",
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    def wait(self) -> None:
        """Until the server is closed, or this process is interrupted."""
        self._thread.join()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> "PageServer":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
