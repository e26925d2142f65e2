"""Exit codes, and quiet: the verbs themselves are in `verbs.py` and load TensorFlow only when one runs."""

import os
import sys
from collections.abc import Sequence

from metagpt_tf.cli.arguments import build_parser

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_PARITY = 0, 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parsed = build_parser().parse_args(arguments)
    # TensorFlow's start-up messages drown the table that follows; a user who set a level keeps it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from metagpt_tf.cli import verbs

    try:
        return getattr(verbs, parsed.verb)(parsed)
    except (ValueError, TypeError, OSError, ImportError) as error:
        verbs.complain(error)
        return EXIT_FAILED
    except KeyboardInterrupt:
        verbs.complain("interrupted")
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
