"""A model from a hub: the hub's own library against a hub on the loopback, whole and in every broken way."""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import json
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daemon.pulling.hub import COMMIT, FILE, PIECE, REPO, Hub
from daemon.pulling.pulls import all_of, assert_consistent, interrupt, kept, of_hub, pull, refusal_of
from ingle_daemon.errors import NoModel, UsageError
from ingle_daemon.models import catalog
from ingle_daemon.models.sources import Puller
from ingle_daemon.models.spec import parse
from ingle_daemon.models.store import Store
from ingle_daemon.protocol import Pulled, Pulling
from proxy import Proxy

TOKEN = "hf_known_to_the_hub_alone"


async def test_a_model_is_pulled_from_the_hub_with_progress(hub: Hub, store: Store, model: bytes) -> None:
    events = await pull(store, of_hub())
    installed = store.find("tiny")
    assert installed.path.read_bytes() == model
    assert (installed.sha256, installed.source) == (hub.sha256, f"{REPO}/{FILE}@{COMMIT}")
    assert events[-1] == Pulled("tiny", str(installed.path))
    progress = [event for event in events if isinstance(event, Pulling)]
    assert progress[0] == Pulling("tiny", "download", 0, 11_000_000)
    assert {event.total_bytes for event in progress[1:]} == {len(model)}
    assert list(dict.fromkeys(event.step for event in progress)) == ["download", "verify"]
    assert kept(store) == 0


async def test_nothing_but_the_file_is_asked_for_and_no_cache_of_the_library_is_used(
    hub: Hub, store: Store, tmp_path: Path
) -> None:
    await pull(store, of_hub())
    assert {request.url.path.split("/")[-1] for request in hub.requests} == {FILE}
    assert not (tmp_path / "hf").exists()


def test_ingled_itself_does_not_load_the_library() -> None:
    script = "import ingle_daemon.server, sys; sys.exit('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


async def test_the_users_token_goes_to_the_hub_and_not_to_its_cdn(
    hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    await pull(store, of_hub())
    asked = [request for request in hub.requests if request not in hub.downloads()]
    assert {request.headers["authorization"] for request in asked} == {f"Bearer {TOKEN}"}
    assert [request.headers.get("authorization") for request in hub.downloads()] == [None]


# --- cuts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tenth", range(1, 10))
async def test_a_download_that_is_cut_goes_on_from_there_by_itself(
    hub: Hub, store: Store, model: bytes, tenth: int
) -> None:
    cut = len(model) * tenth // 10
    hub.cuts = [cut]
    await pull(store, of_hub())
    assert store.find("tiny").path.read_bytes() == model
    first, second = hub.downloads()
    assert "range" not in first.headers
    resumed = int(second.headers["range"].removeprefix("bytes=").rstrip("-"))
    assert cut - PIECE <= resumed <= cut
    assert hub.sent == cut + len(model) - resumed


@pytest.mark.parametrize("tenth", range(1, 10))
async def test_a_pull_that_was_cancelled_is_gone_on_with_by_the_next(
    hub: Hub, store: Store, model: bytes, tenth: int
) -> None:
    hub.holds_at = len(model) * tenth // 10
    await interrupt(Puller(store).pull(of_hub()), hub.holds_at - 2 * PIECE)
    assert await asyncio.to_thread(hub.left.wait, 10)
    assert_consistent(store)
    there = kept(store)
    assert 0 < there <= hub.holds_at + (1 << 16)
    hub.holds_at, hub.sent = None, 0
    events = await pull(store, of_hub())
    assert store.find("tiny").path.read_bytes() == model
    assert hub.sent == len(model) - there
    assert "going on where it was interrupted" in {event.note for event in events if isinstance(event, Pulling)}
    assert kept(store) == 0


async def test_a_reset_connection_is_a_cut_as_well(hub: Hub, store: Store, model: bytes) -> None:
    """Of many cuts in a row each is gone on with, for as long as something comes between them."""
    hub.cuts = [2_000_000, 4_000_000, 6_000_000, 8_000_000, 10_000_000]
    await pull(store, of_hub())
    assert store.find("tiny").path.read_bytes() == model
    assert len(hub.downloads()) == 6


async def test_a_hub_that_takes_no_ranges_sends_all_of_it_again(hub: Hub, store: Store, model: bytes) -> None:
    hub.cuts, hub.takes_ranges = [6_000_000], False
    await pull(store, of_hub())
    assert store.find("tiny").path.read_bytes() == model


async def test_another_version_of_the_file_is_not_the_rest_of_the_first(hub: Hub, store: Store, model: bytes) -> None:
    hub.holds_at = 6_000_000
    await interrupt(Puller(store).pull(of_hub()), 4_000_000)
    hub.holds_at, hub.sent = None, 0
    hub.content = model[:-1] + b"!"
    hub.etag = hashlib.sha256(hub.content).hexdigest()
    await pull(store, of_hub())
    assert store.find("tiny").path.read_bytes() == hub.content
    assert hub.sent == len(model)


async def test_what_was_damaged_on_the_disk_meanwhile_is_noticed_and_fetched_anew(
    hub: Hub, store: Store, model: bytes
) -> None:
    hub.holds_at = 6_000_000
    await interrupt(Puller(store).pull(of_hub()), 4_000_000)
    (part,) = store.root.glob(".partial/*/part")
    with part.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"damaged")
    hub.holds_at = None
    refusal = await refusal_of(store, of_hub())
    assert f"instead of {hub.sha256}" in refusal.message
    assert kept(store) == 0
    await pull(store, of_hub())
    assert store.find("tiny").path.read_bytes() == model


async def test_a_file_that_ends_too_early_is_refused(hub: Hub, store: Store, model: bytes) -> None:
    hub.cuts, hub.hides_length = [11_000_000], True
    refusal = await refusal_of(store, of_hub())
    assert f"should be of size {len(model)} but has size 11000000" in refusal.message
    assert "network" in refusal.hint


# --- what is not what it should be -----------------------------------------------------------------------


async def test_other_bytes_than_the_hub_promised_are_refused(hub: Hub, store: Store) -> None:
    hub.content = hub.content[:-1] + b"!"
    refusal = await refusal_of(store, of_hub())
    assert f"instead of {hub.etag}" in refusal.message
    assert "HF_ENDPOINT" in refusal.hint
    assert kept(store) == 0


async def test_another_file_than_the_catalog_pins_is_refused(hub: Hub, store: Store) -> None:
    refusal = await refusal_of(store, of_hub(sha256="0" * 64))
    assert f"its SHA-256 is {hub.etag} instead of {'0' * 64}" in refusal.message


async def test_a_file_without_any_digest_is_not_downloaded(hub: Hub, store: Store) -> None:
    hub.etag = "a" * 40  # a git hash: the file does not lie in the hub's large file storage
    assert "no SHA-256" in (await refusal_of(store, of_hub())).message
    assert hub.downloads() == []


async def test_a_digest_of_the_catalog_is_enough(hub: Hub, store: Store) -> None:
    pinned, hub.etag = hub.etag, "a" * 40
    await pull(store, of_hub(sha256=pinned))


async def test_a_file_that_is_no_gguf_is_refused(hub: Hub, store: Store) -> None:
    hub.content = b"<html>" * 1000
    hub.announced = len(hub.content)
    hub.etag = hashlib.sha256(hub.content).hexdigest()
    assert (await refusal_of(store, of_hub())).message == f"{FILE} of {REPO} is not a GGUF file"
    assert kept(store) == 0


async def test_a_file_longer_than_announced_is_refused_and_not_gone_on_with(
    hub: Hub, store: Store, model: bytes
) -> None:
    hub.content, hub.hides_length = model + bytes(9_000_000), True
    refusal = await refusal_of(store, of_hub())
    assert "longer than" in refusal.message or "should be of size" in refusal.message
    hub.content = model
    await pull(store, of_hub())
    assert store.find("tiny").path.read_bytes() == model


# --- refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "message", "hint"),
    [
        (404, "EntryNotFound", f"the hub has no {FILE} of {REPO}", "HF_ENDPOINT"),
        (401, "GatedRepo", f"{REPO} is gated", "Accept it at http://127.0.0.1"),
        (403, "GatedRepo", f"{REPO} is gated", "HF_TOKEN"),
        (401, "RepoNotFound", f"the hub refuses {FILE} of {REPO}: HTTP 401", "hf auth login"),
        (503, "", f"the hub cannot deliver {FILE} of {REPO}: HTTP 503", "later"),
        (429, "", f"does not deliver {FILE} of {REPO} now (HTTP 429)", "Try again later"),
    ],
)
async def test_a_refusal_of_the_hub_says_what_to_do(
    hub: Hub, store: Store, status: int, code: str, message: str, hint: str
) -> None:
    hub.refusals = [(status, {"X-Error-Code": code} if code else {})]
    refusal = await refusal_of(store, of_hub())
    assert message in refusal.message
    assert hint in refusal.hint


def in_seconds(seconds: int) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "1"}, {"Retry-After": in_seconds(2)}, {"ratelimit": '"resolvers";r=0;t=1'}]
)
async def test_a_hub_that_asks_to_wait_a_moment_is_asked_again_then(
    hub: Hub, store: Store, headers: dict[str, str]
) -> None:
    hub.refusals = [(429, headers), (200, {})]
    hub.cdn_refusals = [(429, headers)]
    events = await pull(store, of_hub())
    notes = [event.note for event in events if isinstance(event, Pulling)]
    assert any("the server asks to wait" in note for note in notes)


async def test_a_hub_that_asks_for_an_hour_is_left_alone_and_the_user_told(hub: Hub, store: Store) -> None:
    hub.refusals = [(429, {"Retry-After": "3600"})]
    refusal = await refusal_of(store, of_hub())
    assert "Try again in 3600 s" in refusal.hint
    assert len(hub.requests) == 1


async def test_a_hub_that_does_not_answer_is_explained(hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    refusal = await refusal_of(store, of_hub())
    assert "Connection refused" in refusal.message
    assert "Errno" not in refusal.message
    assert "network" in refusal.hint


@pytest.mark.parametrize("spec", [f"hf:{REPO}", f"hf:{REPO}:{FILE}"])
async def test_without_a_network_it_is_given_up_at_once(
    hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    began = time.monotonic()
    refusal = await refusal_of(store, parse(spec, catalog.load(), name="tiny"))
    assert time.monotonic() - began < 5
    assert "hub.invalid is not found: " in refusal.message
    assert "Errno" not in refusal.message
    assert "network" in refusal.hint


async def test_a_name_server_that_does_not_answer_is_not_waited_for(
    hub: Hub, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = "import socket, time\nsocket.getaddrinfo = lambda *_, **__: time.sleep(60)\n"
    (tmp_path / "sitecustomize.py").write_text(silent)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    began = time.monotonic()
    refusal = await refusal_of(store, of_hub())
    assert "127.0.0.1 is not found: the name server did not answer" in refusal.message
    assert time.monotonic() - began < 30


async def test_a_proxy_looks_up_the_hub(hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files = []
    async with Proxy(hub.port).serve() as proxy:
        monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        refusal = await refusal_of(store, of_hub())
        assert proxy.lines[0].startswith("HEAD http://hub.invalid/")
    assert f"the hub has no {FILE}" in refusal.message
    assert len(hub.requests) == 1


@pytest.mark.parametrize("spec", [f"hf:{REPO}", f"hf:{REPO}:{FILE}"])
async def test_a_proxy_that_is_away_is_asked_once(
    hub: Hub, store: Store, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_tcp_port}")
    began = time.monotonic()
    refusal = await refusal_of(store, parse(spec, catalog.load(), name="tiny"))
    assert time.monotonic() - began < 5
    assert "127.0.0.1 cannot be reached: Connection refused" in refusal.message


async def test_a_server_that_is_no_hub_is_explained(hub: Hub, store: Store) -> None:
    hub.commit = ""
    refusal = await refusal_of(store, of_hub())
    assert f"{hub.endpoint} does not answer as a hub does" in refusal.message
    assert "HF_ENDPOINT" in refusal.hint


async def test_a_library_told_to_stay_offline_is_explained(
    hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in (await refusal_of(store, of_hub())).message
    assert hub.requests == []


async def test_a_child_that_breaks_off_is_explained_by_its_last_words(
    hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "soon")
    assert "broke off: ValueError: invalid literal" in (await refusal_of(store, of_hub())).message


async def test_a_download_of_which_nothing_comes_is_given_up_and_gone_on_with_later(
    hub: Hub, store: Store, model: bytes
) -> None:
    hub.holds_at = 6_000_000
    refusal = await refusal_of(store, of_hub(), patience=8.0)
    assert f"the download of {FILE} of {REPO} was given up: nothing came for 8 s" in refusal.message
    assert "goes on with what is there" in refusal.hint
    there = kept(store)
    assert refusal.details["kept_bytes"] == there > 4_000_000
    hub.holds_at, hub.sent = None, 0
    await pull(store, of_hub())
    assert hub.sent == len(model) - there


async def test_a_slow_download_is_none_of_which_nothing_comes(hub: Hub, store: Store, model: bytes) -> None:
    """It takes longer than the patience for one of which nothing comes."""
    hub.pause_s = 12 / (len(model) / PIECE)
    await all_of(Puller(store, patience=8.0).pull(of_hub()))
    assert_consistent(store, "tiny")
    assert len(hub.downloads()) == 1


# --- the disk --------------------------------------------------------------------------------------------


async def test_a_disk_too_full_is_noticed_before_anything_is_downloaded(hub: Hub, store: Store, model: bytes) -> None:
    with pytest.raises(NoModel, match=r"needs 12 MB in .*, 11 MB are free") as caught:
        await all_of(Puller(store, free=lambda _: 11_000_000).pull(of_hub()))
    assert caught.value.details["needed_bytes"] == len(model)
    assert_consistent(store)
    assert hub.downloads() == []


async def test_only_the_rest_has_to_find_room(hub: Hub, store: Store) -> None:
    hub.holds_at = 6_000_000
    await interrupt(Puller(store).pull(of_hub()), 4_000_000)
    hub.holds_at = None
    await all_of(Puller(store, free=lambda _: 9_000_000).pull(of_hub()))
    assert_consistent(store, "tiny")


async def test_a_disk_that_takes_no_more_is_explained(hub: Hub, store: Store) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, before[1]))
    try:
        refusal = await refusal_of(store, of_hub())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refusal.message == f"cannot store tiny in {store.root}: File too large"


# --- who else is there -----------------------------------------------------------------------------------


async def test_two_at_once_share_one_download_and_one_may_leave(hub: Hub, store: Store, model: bytes) -> None:
    puller = Puller(store)
    leaving, staying = puller.pull(of_hub()), puller.pull(of_hub())
    outcome = asyncio.create_task(all_of(staying))
    await interrupt(leaving, 1)
    assert isinstance((await outcome)[-1], Pulled)
    assert_consistent(store, "tiny")
    assert len(hub.downloads()) == 1
    assert hub.sent == len(model)


async def test_another_daemon_that_wants_the_same_is_told_that_it_is_on_its_way(hub: Hub, store: Store) -> None:
    hub.holds_at = 6_000_000
    first = Puller(store).pull(of_hub())
    async for event in first:
        if isinstance(event, Pulling) and event.done_bytes:
            break
    with pytest.raises(NoModel, match="tiny is being fetched already, by another ingled"):
        await all_of(Puller(store).pull(of_hub()))
    await first.aclose()
    assert_consistent(store)


def test_the_child_does_not_outlive_a_killed_parent(hub: Hub, tmp_path: Path) -> None:
    hub.holds_at = 1_000_000
    part = tmp_path / "part"
    part.touch()
    argv = [sys.executable, "-m", "ingle_daemon.models.hub_process"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin
        for message in ({"repo": REPO, "file": FILE}, {"part": str(part), "resume": True}):
            child.stdin.write(json.dumps(message).encode() + b"\n")
            child.stdin.flush()
        assert hub.holding.wait(20)
        child.stdin.close()  # as the death of the parent does
        assert child.wait(10) == 1


# --- a repository without a file -------------------------------------------------------------------------


async def test_of_a_repository_the_usual_quantization_is_taken(hub: Hub, store: Store, model: bytes) -> None:
    hub.files = ["tiny-q4_k_m.gguf", "tiny-q4_k_s.gguf", "mmproj-tiny-q4_k_m.gguf", "tiny-q8_0.gguf", "README.md"]
    events = await all_of(Puller(store).pull(parse(f"hf:{REPO}", catalog.load())))
    assert events[0] == Pulling("tiny", "download", 0, 0, note=f"asking the hub for {REPO}")
    assert_consistent(store, "tiny")
    assert store.find("tiny").source == f"{REPO}/tiny-q4_k_m.gguf@{COMMIT}"
    assert store.find("tiny").path.name == "tiny-q4_k_m.gguf"


async def test_the_same_again_is_there_already_and_another_digest_is_another_model(hub: Hub, store: Store) -> None:
    hub.files = ["tiny-q4_k_m.gguf"]
    wanted = parse(f"hf:{REPO}", catalog.load())
    await all_of(Puller(store).pull(wanted))
    asked = len(hub.requests)
    assert len(await all_of(Puller(store).pull(wanted))) == 1
    assert len(hub.requests) == asked
    with pytest.raises(UsageError, match="there is another model tiny already"):
        await all_of(Puller(store).pull(parse(f"hf:{REPO}", catalog.load(), sha256="0" * 64)))


async def test_one_who_wants_another_file_of_that_name_does_not_get_the_one_on_its_way(hub: Hub, store: Store) -> None:
    puller = Puller(store)
    hub.holds_at = 6_000_000
    first = puller.pull(of_hub())
    await anext(first)
    with pytest.raises(UsageError, match="tiny is being fetched already"):
        await all_of(puller.pull(of_hub(sha256="0" * 64)))
    await first.aclose()
    assert_consistent(store)


async def test_who_comes_back_at_once_waits_for_the_end_of_what_he_left(hub: Hub, store: Store, model: bytes) -> None:
    puller = Puller(store)
    hub.holds_at = 6_000_000
    first = puller.pull(of_hub())
    async for event in first:
        if isinstance(event, Pulling) and event.done_bytes > 4_000_000:
            break
    leaving = asyncio.create_task(first.aclose())
    await asyncio.sleep(0)
    hub.holds_at = None
    await all_of(puller.pull(of_hub()))
    await leaving
    assert_consistent(store, "tiny")


async def test_a_repository_may_have_any_number_of_files(hub: Hub, store: Store) -> None:
    hub.files = [f"{'deep/' * 20}tiny-{number}-q8_0.gguf" for number in range(5000)] + ["tiny-q4_k_m.gguf"]
    await all_of(Puller(store).pull(parse(f"hf:{REPO}", catalog.load())))
    assert_consistent(store, "tiny")


async def test_of_a_repository_another_quantization_can_be_named(hub: Hub, store: Store) -> None:
    hub.files = ["Q4_K_M/tiny-Q4_K_M.gguf", "Q8_0/tiny-Q8_0.gguf"]
    await all_of(Puller(store).pull(parse(f"hf:{REPO}:q8_0", catalog.load())))
    assert store.find("tiny:Q8_0").source == f"{REPO}/Q8_0/tiny-Q8_0.gguf@{COMMIT}"


async def test_where_the_repository_has_no_such_file_those_it_has_are_listed(hub: Hub, store: Store) -> None:
    hub.files = ["tiny-q8_0.gguf", "tiny-q4_k_m-00001-of-00002.gguf", "README.md"]
    with pytest.raises(UsageError, match="no file of the quantization Q4_K_M") as caught:
        await all_of(Puller(store).pull(parse(f"hf:{REPO}", catalog.load())))
    assert caught.value.details["files"] == ["tiny-q8_0.gguf"]
    assert "tiny-q8_0.gguf" in caught.value.hint
    assert hub.downloads() == []
