"""`python -m metagpt_tf …` is `metagpt-tf …`."""

import sys

from metagpt_tf.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
