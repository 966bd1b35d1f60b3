"""Tells systemd how the gateway does (``sd_notify(3)``): ready, reloading, stopping, and that it is alive.

Nothing happens where systemd did not start it. The gateway says that it is alive from its own event loop, after each
step that every call depends on: when the loop hangs, or that step fails, systemd hears nothing and starts it again.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping


class Notifier:
    """Sends datagrams to the socket that systemd names.

    Args:
        environment: Of the process; ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` are taken out of it, so
            that no child speaks for the gateway.
        pid: Of this process.

    Attributes:
        unsent: Datagrams that systemd did not take; they are not sent again, and nobody waits for them.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ, pid: int | None = None) -> None:
        path = environment.pop("NOTIFY_SOCKET", "")
        microseconds, owner = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        self.unsent = 0
        self._status = ""
        self._socket: socket.socket | None = None
        self._address = path
        if path[:1] in ("/", "@"):
            self._address = path.replace("@", "\0", 1) if path[0] == "@" else path
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        mine = owner in ("", str(os.getpid() if pid is None else pid))
        # twice in the time that systemd waits would do; a busy machine gets some more
        self._every = int(microseconds) * 1000 // 4 if self._socket and mine and microseconds.isdigit() else 0
        self._due = 0

    def ready(self) -> None:
        """Calls are taken; also after a reload."""
        self._send("READY=1")

    def reloading(self, now: int) -> None:
        """Files are read anew; ``ready`` must follow.

        Args:
            now: Monotonic nanoseconds.
        """
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now // 1000}")

    def stopping(self, seconds: float) -> None:
        """No calls are taken any more; the end comes within so many seconds, however long ``TimeoutStopSec`` is."""
        self._send(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def status(self, text: str) -> None:
        """Sets the line that ``systemctl status`` shows; sent where it differs from the one before."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def alive(self, now: int) -> None:
        """Says that all is well, as often as systemd wants to hear it.

        Args:
            now: Monotonic nanoseconds.
        """
        if self._every and now >= self._due:
            self._due = now + self._every
            self._send("WATCHDOG=1")

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError:
            self.unsent += 1
