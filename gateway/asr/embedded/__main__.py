"""``python -m gateway.asr.embedded``: the embedded recogniser as a server of its own."""

import sys

from gateway.asr.embedded.command import add_arguments, main, run

__all__ = ["add_arguments", "run"]

if __name__ == "__main__":
    sys.exit(main())
