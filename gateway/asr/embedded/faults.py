"""Why the embedded recogniser cannot start: each fault with its text and its exit status."""

from __future__ import annotations

from typing import ClassVar


class StartError(Exception):
    """The embedded recogniser cannot start.

    Attributes:
        status: Exit status of the server process for this fault, by which its supervisor knows it.
        reason: What the text tells besides, such as the module that is missing.
    """

    status: ClassVar[int] = 1
    reason = ""


class TokenMissing(StartError):  # noqa: N818 (the fault's name, read in an except clause)
    """No token was given that clients must show."""

    status = 3

    def __init__(self, reason: str = "none was given") -> None:
        super().__init__(f"no token: {reason}; set ASR_SERVER_TOKEN, or give --token-file a file that holds one")


class ExtraMissing(StartError):  # noqa: N818
    """The packages of the ``embedded`` extra are not installed."""

    status = 4

    def __init__(self, module: str = "") -> None:
        self.reason = module
        named = f" ({module} cannot be imported)" if module else ""
        super().__init__(
            f"the embedded recogniser is not installed{named}: pip install 'asr-gateway[embedded]', "
            "or set asr.engine to another engine"
        )


class ListenFailed(StartError):  # noqa: N818
    """The address cannot be listened at."""

    status = 5

    def __init__(self, listen: str, reason: str = "it is taken, or not an address of this machine") -> None:
        super().__init__(f"cannot listen at {listen}: {reason}; free it or set asr.embedded.listen to another address")


class ModelFailed(StartError):  # noqa: N818
    """The recogniser is installed and does not load."""

    status = 6

    def __init__(self, reason: str = "see its own messages above") -> None:
        self.reason = reason
        super().__init__(f"the recogniser's model does not load: {reason}")
