"""Which pjsua2 is installed, and how many calls it was compiled for.

The number is a compile-time constant that pjsua2 offers no way to read, and a call beyond it is refused before Python
hears of it; so it is told by the distribution that the module came from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

TRIAL_CALLS = 4
"""What ``pjsua2-python`` on PyPI is compiled for: pjproject's default."""


class BuildError(Exception):
    """No usable pjsua2; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Build:
    """A pjsua2 build.

    Attributes:
        name: ``"trial"`` or ``"work"``.
        capacity: Calls at once.
    """

    name: str
    capacity: int


def installed() -> Build:
    """Returns the build that ``import pjsua2`` gets.

    Raises:
        BuildError: None is installed, or two are, or one that nobody knows the capacity of.
    """
    trial, work = _version("pjsua2-python"), _version("pjsua2")
    if trial and work:
        raise BuildError(
            f"two builds of pjsua2 are installed over each other, pjsua2-python {trial} and pjsua2 {work}; "
            "remove both (pip uninstall pjsua2-python pjsua2) and install one: make pjsip"
        )
    if trial:
        return Build("trial", TRIAL_CALLS)
    if not work:
        raise BuildError(
            "pjsua2 is not installed; build it with `make pjsip`, or for a first try of 4 calls at most: "
            "pip install 'asr-gateway[trial]' (Python 3.11 and 3.12 on x86_64)"
        )
    if match := re.search(r"\+gateway\d+\.calls(\d+)$", work):
        return Build("work", int(match[1]))
    raise BuildError(f"pjsua2 {work} was not built by `make pjsip`, so its number of calls is unknown; run make pjsip")


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
