"""Both protocols on two ports, until somebody stops them."""

import contextlib
import math
import os
import threading
import time
from types import TracebackType

import uvicorn

from metagpt_tf.serving.batching import Batcher
from metagpt_tf.serving.grpc_service import grpc_server
from metagpt_tf.serving.predicting import Predictor
from metagpt_tf.serving.rest import rest_app
from metagpt_tf.serving.versions import ModelVersions

LARGEST_BYTES = 64 * 2**20


class DevelopmentServer:
    """Serves the versions of a SavedModel over REST and gRPC as TF Serving does.

    For laptops and tests: one model, the newest version, no metrics. Production runs TF Serving's own image on the same
    directory (`docs/deployment.md`).

    Args:
        root: directory of versions.
        name: of the model in requests.
        rest_port, grpc_port: 0 for any free one; the attributes of these names say which.
        host: address to listen on.
        timeout: seconds that an answer may take.
        largest_bytes: of a request.
        max_batch: rows of requests that are answered by one call; 1 for one by one.
        poll_seconds: between two looks for a new version.

    Raises:
        FileNotFoundError, ValueError: no version that can be read.
        OSError: no listening on the gRPC port.

    Example:

    >>> with DevelopmentServer("export/model") as server:  # doctest: +SKIP
    ...     print(server.rest_port)
    """

    def __init__(
        self,
        root: str | os.PathLike,
        name: str = "model",
        rest_port: int = 8501,
        grpc_port: int = 8500,
        host: str = "127.0.0.1",
        timeout: float = 30.0,
        largest_bytes: int = LARGEST_BYTES,
        max_batch: int = 32,
        poll_seconds: float = 1.0,
    ) -> None:
        versions = ModelVersions(root, poll_seconds)
        self.predictor = Predictor(name, versions, timeout, Batcher(max_batch) if max_batch > 1 else None)
        try:
            self._grpc, self.grpc_port = grpc_server(self.predictor, f"{host}:{grpc_port}", largest_bytes)
        except RuntimeError as error:
            self.predictor.close()
            raise OSError(f"gRPC cannot listen on {host}:{grpc_port}: {error}. Choose another: grpc_port=….") from error
        config = uvicorn.Config(
            rest_app(self.predictor, largest_bytes),
            host=host,
            port=rest_port,
            log_level="error",
            lifespan="off",
            timeout_graceful_shutdown=math.ceil(timeout),
        )
        self._rest = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.rest_port = rest_port

    def start(self) -> "DevelopmentServer":
        """Listen; returns when both ports answer.

        Raises:
            OSError: no listening on the REST port.
        """
        self._grpc.start()
        self._thread.start()
        while not self._rest.started:
            if not self._thread.is_alive():
                self.stop()
                raise OSError(f"REST cannot listen on port {self.rest_port}; is it taken? Choose another: rest_port=….")
            time.sleep(0.01)
        self.rest_port = self._rest.servers[0].sockets[0].getsockname()[1]
        return self

    def _serve(self) -> None:
        with contextlib.suppress(SystemExit):  # how uvicorn says that it cannot listen; `start` sees that it has ended
            self._rest.run()

    def stop(self) -> None:
        """Finish what is running, for `timeout` seconds at most, and stop listening."""
        self._rest.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._grpc.stop(self.predictor.timeout).wait()
        self.predictor.close()

    def wait(self) -> None:
        """Serve until the process is interrupted."""
        self._thread.join()

    def __enter__(self) -> "DevelopmentServer":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
