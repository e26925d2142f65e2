"""What `deploy_model` returns."""

from dataclasses import dataclass
from pathlib import Path

from metagpt_tf.export import ParityReport


@dataclass(frozen=True)
class Deployed:
    """What `deploy_model` wrote.

    Attributes:
        path: the directory: to start a server on, to copy to a device, or to serve as a page.
        saved_model: the version's directory inside; `None` for a device or a browser.
        calls: a first request, for `"call.sh"` (curl) and `"call.py"`; empty for a device or a browser.
        parity: the file's answers against the learner's; `None` without examples to compare on.
        litert: the `.tflite` file inside; `None` for a server.
    """

    path: Path
    saved_model: Path | None
    calls: dict[str, str]
    parity: ParityReport | None
    litert: Path | None = None
