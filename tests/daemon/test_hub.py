"""Fetching a model from a hub: the hub's own library against a hub on the loopback, whole and in every broken way."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path

import gguf as reference
import numpy as np
import psutil
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from ingle_daemon.config import Settings
from ingle_daemon.daemon import Daemon
from ingle_daemon.errors import NoModel, RefusedByPrivacy
from ingle_daemon.models.catalog import Entry, Hub, Quant
from ingle_daemon.models.sources import Puller
from ingle_daemon.models.store import Store
from ingle_daemon.protocol import Pulled, Pulling

REPO = "somebody/tiny-GGUF"
FILE = "tiny-q4.gguf"
COMMIT = "c0ffee" + "0" * 34
TOKEN = "hf_known_to_the_hub_alone"


class FakeHub:
    """A hub at 127.0.0.1 and its CDN at localhost: other hosts to a client, one server here.

    What a test sets is what the hub does from then on.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.etag = hashlib.sha256(content).hexdigest()
        self.commit = COMMIT
        self.refusal: tuple[int, str] | None = None
        self.cuts: list[int] = []
        """Where to cut each of the next answers."""
        self.hides_length = False
        self.holds = False
        """Do not send the last byte."""
        self.requests: list[Request] = []
        self.asked, self.left = threading.Event(), threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        routes = [Route(f"/{REPO}/resolve/{{revision}}/{FILE}", self._resolve), Route(f"/cdn/{FILE}", self._deliver)]
        settings = uvicorn.Config(Starlette(routes=routes), lifespan="off", log_config=None, ws="none")
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._socket.close()

    def downloads(self) -> list[Request]:
        return [request for request in self.requests if request.url.path.startswith("/cdn/")]

    async def _resolve(self, request: Request) -> Response:
        self.requests.append(request)
        if self.refusal:
            status, code = self.refusal
            return Response(status_code=status, headers={"X-Error-Code": code} if code else {})
        linked = {"X-Linked-Etag": f'"{self.etag}"', "X-Linked-Size": str(len(self.content))}
        commit = {"X-Repo-Commit": self.commit} if self.commit else {}
        return RedirectResponse(f"http://localhost:{self._port}/cdn/{FILE}?Signature=s3cret", 302, linked | commit)

    async def _deliver(self, request: Request) -> Response:
        self.requests.append(request)
        start = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        end = self.cuts.pop(0) if self.cuts else len(self.content)
        headers = {"Content-Range": f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"} if start else {}
        if not self.hides_length:
            headers["Content-Length"] = str(len(self.content) - start)
        return StreamingResponse(self._pieces(start, end), 206 if start else 200, headers)

    async def _pieces(self, start: int, end: int) -> AsyncIterator[bytes]:
        yield self.content[start : end - 1]
        if self.holds:
            self.asked.set()
            try:
                await asyncio.Event().wait()  # until the client is gone
            finally:
                self.left.set()
        yield self.content[end - 1 : end]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A GGUF larger than what the library writes at once, which is 10 MB."""
    path = tmp_path_factory.mktemp("gguf") / FILE
    writer = reference.GGUFWriter(path, "llama")
    writer.add_tensor("token_embd.weight", np.ones((3, 1_000_000), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@pytest.fixture
def hub(model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub, and the settings of a user of it."""
    made = FakeHub(model)
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def make_entry(sha256: str = "") -> Entry:
    return Entry(
        name="tiny",
        title="Tiny",
        license="MIT",
        open=True,
        roles=("chat",),
        quants=(Quant(name="Q4_0", size_bytes=11_000_000, sha256=sha256),),  # approximately, as in the catalog
        place=Hub(repo=REPO, file=FILE),
    )


async def all_of(pulls: AsyncGenerator[Pulling | Pulled, None]) -> list[Pulling | Pulled]:
    async with contextlib.aclosing(pulls):
        return [event async for event in pulls]


async def refusal_of(store: Store, entry: Entry | None = None) -> NoModel:
    """Why a model cannot be pulled. Nothing of it may be left."""
    with pytest.raises(NoModel) as caught:
        await all_of(Puller(store).pull(entry or make_entry()))
    assert_nothing_is_left(store)
    return caught.value


def assert_nothing_is_left(store: Store) -> None:
    assert store.installed() == []
    assert [path.name for path in store.root.glob("*") if path.name != ".lock"] == []
    children = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    assert [child for child in children if "hub_process" in child] == []


async def test_a_model_is_pulled_from_the_hub_with_progress(hub: FakeHub, store: Store, model: bytes) -> None:
    events = await all_of(Puller(store).pull(make_entry()))
    installed = store.get("tiny")
    assert installed is not None
    assert installed.path.read_bytes() == model
    assert (installed.sha256, installed.source) == (hub.etag, f"{REPO}/{FILE}@{COMMIT}")
    assert events[-1] == Pulled("tiny", str(installed.path))
    progress = [event for event in events if isinstance(event, Pulling)]
    assert progress[0] == Pulling("tiny", "download", 0, 11_000_000)
    assert {event.total_bytes for event in progress[1:]} == {len(model)}
    assert list(dict.fromkeys(event.step for event in progress)) == ["download", "verify"]
    assert {path.name for path in store.root.iterdir()} == {".lock", "current", "tiny"}


async def test_nothing_but_the_file_is_asked_for_and_no_cache_of_the_library_is_used(
    hub: FakeHub, store: Store, tmp_path: Path
) -> None:
    await all_of(Puller(store).pull(make_entry()))
    assert {request.url.path.split("/")[-1] for request in hub.requests} == {FILE}
    assert not (tmp_path / "hf").exists()
    assert "huggingface_hub" not in sys.modules


async def test_the_users_token_goes_to_the_hub_and_not_to_its_cdn(
    hub: FakeHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    await all_of(Puller(store).pull(make_entry()))
    assert hub.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert [request.headers.get("authorization") for request in hub.downloads()] == [None]


async def test_a_download_that_is_cut_in_the_middle_goes_on_from_there(
    hub: FakeHub, store: Store, model: bytes
) -> None:
    hub.cuts = [11_000_000]
    await all_of(Puller(store).pull(make_entry()))
    installed = store.get("tiny")
    assert installed is not None
    assert installed.path.read_bytes() == model
    first, second = hub.downloads()
    assert "range" not in first.headers
    assert second.headers["range"].startswith("bytes=1")


async def test_a_file_that_ends_too_early_is_refused(hub: FakeHub, store: Store, model: bytes) -> None:
    hub.cuts, hub.hides_length = [11_000_000], True
    refusal = await refusal_of(store)
    assert f"should be of size {len(model)} but has size 11000000" in refusal.message
    assert "network" in refusal.hint


async def test_other_bytes_than_the_hub_promised_are_refused(hub: FakeHub, store: Store) -> None:
    hub.content = hub.content[:-1] + b"!"
    refusal = await refusal_of(store)
    assert f"instead of {hub.etag}" in refusal.message
    assert "HF_ENDPOINT" in refusal.hint


async def test_another_file_than_the_catalog_pins_is_refused(hub: FakeHub, store: Store) -> None:
    refusal = await refusal_of(store, make_entry(sha256="0" * 64))
    assert f"its SHA-256 is {hub.etag} instead of {'0' * 64}" in refusal.message


async def test_a_file_without_any_digest_is_not_downloaded(hub: FakeHub, store: Store) -> None:
    hub.etag = "a" * 40  # a git hash: the file does not lie in the hub's large file storage
    assert "no SHA-256" in (await refusal_of(store)).message
    assert hub.downloads() == []


async def test_a_digest_of_the_catalog_is_enough(hub: FakeHub, store: Store) -> None:
    pinned, hub.etag = hub.etag, "a" * 40
    await all_of(Puller(store).pull(make_entry(sha256=pinned)))
    assert store.get("tiny") is not None


async def test_a_file_that_is_no_gguf_is_refused(hub: FakeHub, store: Store) -> None:
    hub.content = b"<html>" * 1000
    hub.etag = hashlib.sha256(hub.content).hexdigest()
    assert (await refusal_of(store)).message == f"{FILE} of {REPO} is not a GGUF file"


@pytest.mark.parametrize(
    ("status", "code", "message", "hint"),
    [
        (404, "EntryNotFound", f"the hub has no {FILE} of {REPO}", "HF_ENDPOINT"),
        (401, "GatedRepo", f"{REPO} is gated", "Accept it at http://127.0.0.1"),
        (403, "GatedRepo", f"{REPO} is gated", "HF_TOKEN"),
        (401, "RepoNotFound", f"the hub refuses {FILE} of {REPO}: HTTP 401", "hf auth login"),
        (503, "", f"the hub cannot deliver {FILE} of {REPO}: HTTP 503", "later"),
    ],
)
async def test_a_refusal_of_the_hub_says_what_to_do(
    hub: FakeHub, store: Store, status: int, code: str, message: str, hint: str
) -> None:
    hub.refusal = status, code
    refusal = await refusal_of(store)
    assert message in refusal.message
    assert hint in refusal.hint


async def test_a_hub_that_does_not_answer_is_explained(
    hub: FakeHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    refusal = await refusal_of(store)
    assert "Connection refused" in refusal.message
    assert "network" in refusal.hint


async def test_a_server_that_is_no_hub_is_explained(hub: FakeHub, store: Store) -> None:
    hub.commit = ""
    refusal = await refusal_of(store)
    assert f"{hub.url} does not answer as a hub does" in refusal.message
    assert "HF_ENDPOINT" in refusal.hint


async def test_a_library_told_to_stay_offline_is_explained(
    hub: FakeHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in (await refusal_of(store)).message
    assert hub.requests == []


async def test_a_child_that_breaks_off_is_explained_by_its_last_words(
    hub: FakeHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "soon")
    assert "broke off: ValueError: invalid literal" in (await refusal_of(store)).message


async def test_a_disk_too_full_is_noticed_before_anything_is_downloaded(
    hub: FakeHub, store: Store, model: bytes
) -> None:
    with pytest.raises(NoModel, match=r"needs 12 MB in .*, 11 MB are free") as caught:
        await all_of(Puller(store, free=lambda _: 11_000_000).pull(make_entry()))
    assert caught.value.details["needed_bytes"] == len(model)
    assert_nothing_is_left(store)
    assert hub.downloads() == []


async def test_a_disk_that_takes_no_more_is_explained(hub: FakeHub, store: Store) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        refusal = await refusal_of(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refusal.message == f"cannot store tiny in {store.root}: File too large"


async def test_leaving_during_a_slow_download_ends_it_and_leaves_nothing(hub: FakeHub, store: Store) -> None:
    hub.holds = True
    pulls = Puller(store).pull(make_entry())
    async for event in pulls:
        if isinstance(event, Pulling) and event.done_bytes:
            assert event.step == "download"
            break
    await pulls.aclose()
    assert_nothing_is_left(store)
    assert await asyncio.to_thread(hub.left.wait, 10)


def test_the_child_does_not_outlive_a_killed_parent(hub: FakeHub, tmp_path: Path) -> None:
    hub.holds = True
    argv = [sys.executable, "-m", "ingle_daemon.models.hub_process", REPO, FILE]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path) as child:
        assert child.stdin
        child.stdin.write(b"\n")
        child.stdin.flush()
        assert hub.asked.wait(20)
        child.stdin.close()  # as the death of the parent does
        assert child.wait(10) == 1


@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct"])
async def test_offline_nothing_is_pulled(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for variable in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("INGLE_BACKEND", "scripted")

    async def no_tcp(_: int) -> str:
        raise AssertionError

    daemon = Daemon(Settings(offline=True), stop=lambda: None, serve_tcp=no_tcp, tcp_url=str)
    with pytest.raises(RefusedByPrivacy, match="offline = true"):
        await all_of(daemon.pull_model(name))
    assert hub.requests == []
