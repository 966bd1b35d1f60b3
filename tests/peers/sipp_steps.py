"""sipp scenarios put together from steps: what a caller sends and what it must get."""

from __future__ import annotations

from pathlib import Path

HEAD = """\
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]-[call_number]
{to}
Call-ID: [call_id]
CSeq: {number} {method}
Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
"""
AUDIO = "m=audio [media_port] RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000\n"


def sdp(version: int = 1, media: str = AUDIO) -> str:
    """Returns an SDP."""
    return f"v=0\no=sipp 1 {version} IN IP4 [local_ip]\ns=-\nc=IN IP4 [media_ip]\nt=0 0\n{media}"


def send(
    method: str, number: int, body: str = "", *, headers: str = "", first: bool = False, tag: str = "", lost: int = 0
) -> str:
    """A request.

    Args:
        method: Of it.
        number: Its CSeq.
        body: An SDP, or nothing.
        headers: Further lines, each with its newline.
        first: It begins the dialog (or cancels the request that did): there is no tag of ours yet.
        tag: Our tag as ``;tag=…``, where the last response did not bring it.
        lost: Of so many percent sipp pretends that they were lost.
    """
    to = f"To: <sip:[service]@[remote_ip]:[remote_port]>{tag}" if first or tag else "[last_To:]"
    uri = "sip:[service]@[remote_ip]:[remote_port]" if first else "[next_url]"
    kind = "Content-Type: application/sdp\n" if body else ""
    routes = "" if first or tag else "[routes]\n"  # sipp leaves the line out where there is none
    head = HEAD.format(to=to, number=number, method=method)
    text = f"{method} {uri} SIP/2.0\n{head}{routes}{headers}{kind}Content-Length: [len]\n\n{body}"
    again = "" if method == "ACK" else ' retrans="200"'
    return f"<send{again}{_lost(lost)}><![CDATA[\n{text}\n]]></send>\n"


def get(code: int, *, keep: str = "", lost: int = 0, dialog: bool = True) -> str:
    """A response that must come; 100 and 180 may come before it.

    Args:
        code: Its status.
        keep: A header of which something goes into ``[$1]``: the tag of To, else the first number.
        lost: As in ``send``.
        dialog: It tells by Contact where the dialog's requests go (RFC 3261, section 12.1.2). sipp 3.7 forgets where
            that was when it is to look for it in a response without Contact.
    """
    action = ""
    if keep:
        part = ";tag=.*" if keep == "To" else "[0-9]+"
        action = f'<action><ereg regexp="{part}" search_in="hdr" header="{keep}:" assign_to="1"/></action>'
    before = "".join(f'<recv response="{early}" optional="true"/>\n' for early in (100, 180) if early != code)
    route = ' rrs="true"' if dialog and code < 300 else ""
    return f'{before}<recv response="{code}"{route}{_lost(lost)}>{action}</recv>\n'


def write(folder: Path, name: str, steps: list[str]) -> Path:
    """Writes a scenario."""
    path = folder / f"{name}.xml"
    path.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="{name}">\n{"".join(steps)}</scenario>\n')
    return path


def _lost(percent: int) -> str:
    return f' lost="{percent}"' if percent else ""
