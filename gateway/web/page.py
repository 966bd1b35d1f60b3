"""The files of the live page, read once; each is served with its own type and a tag for the browser's cache."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

from fastapi import APIRouter, HTTPException, Request, Response

TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}

page = APIRouter(include_in_schema=False)


@cache
def _file(name: str) -> tuple[bytes, str, str] | None:
    kind = name.rpartition(".")[2]
    known = {item.name for item in (resources.files("gateway.web") / "static").iterdir()}
    if name not in known or kind not in TYPES:
        return None
    body = (resources.files("gateway.web") / "static" / name).read_bytes()
    return body, TYPES[kind], f'"{hashlib.sha256(body).hexdigest()[:16]}"'


@page.get("/")
async def index(request: Request) -> Response:
    """Serves the page."""
    return await static(request, "index.html")


@page.get("/static/{name}")
async def static(request: Request, name: str) -> Response:
    """Serves a file of the page."""
    found = _file(name)
    if found is None:
        raise HTTPException(404, "there is no such file")
    body, kind, tag = found
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=kind, headers=headers)
