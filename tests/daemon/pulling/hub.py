"""A hub on the loopback, and its faults: what a pull meets is chosen test by test, what was served is counted."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import gguf
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

REPO = "somebody/tiny-GGUF"
FILE = "tiny-q4.gguf"
COMMIT = "c0ffee" + "0" * 34
PIECE = 1 << 16
"""What is sent at once here, and written at once there."""


def make_gguf(path: Path, floats: int = 3_000_000) -> bytes:
    """A GGUF that is whole, of four bytes for each of `floats`."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("token_embd.weight", np.ones(floats, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


class Hub:
    """A hub at 127.0.0.1 and its CDN at localhost: other hosts to a client, one server here.

    The file can be had at an address of its own as well: `url()`. What a test sets is what the hub does from then on.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.etag = self.sha256
        """What the hub says of the file."""
        self.announced = len(content)
        """How long the hub says that the file is."""
        self.mark: str | None = '"one"'
        """The ETag of the file at its own address."""
        self.commit = COMMIT
        self.files = [FILE, "README.md"]
        self.refusals: list[tuple[int, dict[str, str]]] = []
        """Status and headers of the next answers to the question of where the file is; the last one stays."""
        self.cdn_refusals: list[tuple[int, dict[str, str]]] = []
        """The same of the file itself, each for one answer."""
        self.cuts: list[int] = []
        """Where to cut each of the next answers."""
        self.hides_length = False
        self.takes_ranges = True
        self.redirects_to = ""
        """Where the file's own address leads."""
        self.holds_at: int | None = None
        """Send no byte from this one on, until `let_go`."""
        self.pause_s = 0.0
        """How long to wait before each piece."""
        self.requests: list[Request] = []
        self.sent = 0
        """Bytes of the file that went out, to whomever."""
        self.holding, self.left = threading.Event(), threading.Event()
        self._released: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        routes = [
            Route(f"/{REPO}/resolve/{{revision}}/{{file:path}}", self._resolve),
            Route(f"/api/models/{REPO}/tree/main", self._list),
            Route("/cdn/{file}", self._deliver),
            Route("/at/{file}", self._redirect),
        ]
        settings = uvicorn.Config(Starlette(routes=routes), lifespan="off", log_config=None, ws="none")
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._socket.close()

    def let_go(self) -> None:
        """Send what is held back."""
        self.holds_at = None
        for loop, event in self._released:
            loop.call_soon_threadsafe(event.set)

    def url(self, path: str = f"cdn/{FILE}") -> str:
        return f"{self.endpoint}/{path}"

    def downloads(self) -> list[Request]:
        """Requests for the file, but not for its first byte alone."""
        found = [request for request in self.requests if request.url.path.startswith("/cdn/")]
        return [request for request in found if request.headers.get("range") != "bytes=0-0"]

    async def _resolve(self, request: Request) -> Response:
        self.requests.append(request)
        if self.refusals:
            status, headers = self.refusals.pop(0) if len(self.refusals) > 1 else self.refusals[0]
            if status != 200:
                return Response(status_code=status, headers=headers)
        if request.path_params["file"] not in self.files:
            return Response(status_code=404, headers={"X-Error-Code": "EntryNotFound"})
        linked = {"X-Linked-Etag": f'"{self.etag}"', "X-Linked-Size": str(self.announced)}
        commit = {"X-Repo-Commit": self.commit} if self.commit else {}
        return RedirectResponse(f"http://localhost:{self.port}/cdn/{FILE}?Signature=s3cret", 302, linked | commit)

    async def _list(self, request: Request) -> Response:
        self.requests.append(request)
        return JSONResponse([{"type": "file", "path": path, "size": 1, "oid": "0" * 40} for path in self.files])

    async def _redirect(self, request: Request) -> Response:
        self.requests.append(request)
        return RedirectResponse(self.redirects_to, 302)

    async def _deliver(self, request: Request) -> Response:
        self.requests.append(request)
        if self.cdn_refusals:
            status, headers = self.cdn_refusals.pop(0)
            return Response(status_code=status, headers=headers)
        start, end, status = self._range(request)
        headers = {"ETag": self.mark} if self.mark is not None else {}
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(self.content)}"
        if not self.hides_length:
            headers["Content-Length"] = str(end - start)
        cut = self.cuts.pop(0) if self.cuts and end > 1 else end
        return StreamingResponse(self._pieces(start, min(cut, end)), status, headers)

    def _range(self, request: Request) -> tuple[int, int, int]:
        whole, wanted = len(self.content), request.headers.get("range", "")
        if not wanted or not self.takes_ranges or request.headers.get("if-range", self.mark) != self.mark:
            return 0, whole, 200
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        return int(first), int(last) + 1 if last else whole, 206

    async def _pieces(self, start: int, end: int) -> AsyncIterator[bytes]:
        for at in range(start, end, PIECE):
            if self.holds_at is not None and at >= self.holds_at:
                await self._hold()
            await asyncio.sleep(self.pause_s)
            piece = self.content[at : min(end, at + PIECE)]
            yield piece
            self.sent += len(piece)

    async def _hold(self) -> None:
        released = asyncio.Event()
        self._released.append((asyncio.get_running_loop(), released))
        self.holding.set()
        try:
            await released.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
