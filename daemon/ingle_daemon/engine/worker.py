"""The engine worker's process: frames in, frames out, and the engine's loop between. Started by the daemon alone.

Three kinds of threads: the reader takes frames off the socket, a small pool turns prompts into tokens (a large one must
not hold up the others' next token), and the main thread decodes. Only the main thread touches the context. When the
daemon goes away the worker ends at once, and the driver takes its memory back.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import queue
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from ingle_daemon.engine import frames, selftest
from ingle_daemon.engine.cache import Cache
from ingle_daemon.engine.calibrate import infill_budget, prefill_rate, step_times
from ingle_daemon.engine.chat import ChatTemplate
from ingle_daemon.engine.engine import Engine
from ingle_daemon.engine.kv import KvTable
from ingle_daemon.engine.opening import open_model
from ingle_daemon.engine.prepare import Prepared, Preparer
from ingle_daemon.engine.runner import RunnerOptions, hello, llama_version
from ingle_daemon.engine.scheduler import Capacity
from ingle_daemon.engine.shelf import Shelf, read_snapshot, write_snapshot
from ingle_daemon.engine.template_process import TemplateProcess
from ingle_daemon.errors import IngleError, NoMemory
from ingle_daemon.fim.templates import CONTINUATION, Template, template_for
from ingle_daemon.models import gguf, seal
from ingle_daemon.protocol import Begun, Delta, Done, Failed, GenerateRequest, ModelInfo, Started

__all__ = ["main"]

_SLOTS = 16
_PREPARERS = 2
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SHELF_BYTES = 1 << 30
_SNAPSHOT_BYTES = 512 << 20
_INEXACT = "[engine] exact: not possible with this model here, answers depend in their rounding on what else runs"


class Outbox:
    """Frames to the daemon; whole, in order, from any thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._lock = threading.Lock()

    def send(self, frame: frames.FromWorker) -> None:
        data = frames.encode(frame)
        try:
            with self._lock:
                self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)  # the daemon is gone


class Worker:
    """One loaded model and the requests on it."""

    def __init__(self, load: frames.Load, outbox: Outbox) -> None:
        self._outbox = outbox
        if load.seal:
            seal.check(Path(load.path), load.seal, load.name)
        gguf.check(Path(load.path))
        templates = TemplateProcess()  # it starts while the model loads
        self._threads = load.threads or default_threads()
        self._runner = open_model(
            RunnerOptions(
                path=load.path,
                context=load.context,
                threads=self._threads,
                gpu_layers=load.gpu_layers,
                kv_type=load.kv_type,
                batch=load.batch,
                slots=_SLOTS,
            ),
            exact=load.exact,
        )
        vocab = self._runner.vocab
        templates.compile(self._runner.chat_template, bos=vocab.spelling(vocab.bos), eos=vocab.spelling(vocab.eos))
        template = ChatTemplate(templates, special=vocab.special_spellings())
        self._fim, note = self._choose_template(load)
        inexact = load.exact and not self._runner.exact
        self._note = "; ".join(filter(None, (note, _INEXACT if inexact else "")))
        vocab.end_at(self._fim.ends)
        times = step_times(self._runner)
        self._rates = prefill_rate(self._runner), 1 / times.single
        budget = load.fim_tokens or infill_budget(*self._rates, load.fim_seconds)
        self._preparer = Preparer(vocab, template, self._fim, self._runner.n_ctx, infill_budget=budget)
        self._snapshot = Path(load.snapshots) / _key(load)
        shelf = Shelf(_SHELF_BYTES)
        read_snapshot(self._snapshot, shelf)
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._engine = Engine(
            self._runner,
            Cache(self._runner, self._new_table(), shelf),
            Capacity(self._runner.batch, prefill=self._runner.batch, wide_is_cheap=times.wide_is_cheap),
            times,
            self._emit,
            splice=load.splice,
            undisturbed=self._commands.empty,
        )
        self._cancelled: set[int] = set()
        self._preparing: set[int] = set()
        self._pool = ThreadPoolExecutor(_PREPARERS, "prepare")
        self.info = self._describe(load.name, load.path)

    def _new_table(self) -> KvTable:
        runner = self._runner
        return KvTable(_SLOTS, runner.n_ctx, append_only=runner.exact, rewinds=runner.rewinds)

    def run(self, stream: BinaryIO) -> None:
        """Serve until the daemon goes away."""
        threading.Thread(target=self._read, args=(stream,), name="reader", daemon=True).start()
        while True:
            if self._engine.busy:
                self._obey(wait=0)
                self._engine.step()
            else:
                self._obey(wait=self._engine.rest())

    # --- the reader's thread ---

    def _read(self, stream: BinaryIO) -> None:
        while (body := frames.read_frame(stream)) is not None:
            self._dispatch(frames.decode_to_worker(body))
        os._exit(0)  # the daemon is gone: nobody is left to finish anything for

    def _dispatch(self, frame: frames.ToWorker) -> None:
        if isinstance(frame, frames.Submit):
            arrived = time.monotonic()
            self._commands.put(lambda: self._preparing.add(frame.id))
            self._pool.submit(self._prepare, frame, arrived)
        elif isinstance(frame, frames.Cancel):
            self._engine.interrupts.leaving(frame.id)
            self._commands.put(lambda: self._cancel(frame.id))
        elif isinstance(frame, frames.Stop):
            self._commands.put(self._stop)
        elif isinstance(frame, frames.Economy):
            self._commands.put(lambda: self._runner.use_threads(self._threads // 2 if frame.on else self._threads))
        elif isinstance(frame, frames.Ping):
            # By way of the pool: a template that never ends holds its threads as a kernel may hold the main one.
            self._pool.submit(self._commands.put, self._pong)
        else:
            assert not isinstance(frame, frames.Load), "a worker loads once"
            self._pool.submit(self._answer, frame)

    # --- the pool's threads ---

    def _prepare(self, frame: frames.Submit, arrived: float) -> None:
        try:
            prepared = self._preparer.prepare(frame.request)
        except Exception as exc:  # noqa: BLE001 - in a pool it would vanish, and the request wait for ever
            error = _translated(exc).to_wire()
            self._commands.put(lambda: self._refuse(frame.id, error))
            return
        self._engine.interrupts.coming(frame.id, frame.request.priority)
        self._commands.put(lambda: self._submit(frame.id, frame.request, prepared, arrived))

    def _answer(self, frame: frames.Count | frames.Tokenize | frames.Render | frames.Detokenize) -> None:
        vocab = self._runner.vocab
        try:
            if isinstance(frame, frames.Count):
                self._outbox.send(frames.Counted(frame.id, self._preparer.fit(frame.prompt, frame.reserved)))
            elif isinstance(frame, frames.Tokenize):
                tokens = vocab.tokenize(frame.text, special=frame.special)
                self._outbox.send(frames.Tokens(frame.id, tuple(tokens)))
            elif isinstance(frame, frames.Render):
                prepared = self._preparer.prepare(GenerateRequest(frame.prompt))
                self._outbox.send(frames.Text(frame.id, vocab.spelled_out(prepared.tokens)))
            else:
                raw = b"".join(vocab.piece(token) for token in frame.tokens if 0 <= token < vocab.size)
                self._outbox.send(frames.Text(frame.id, raw.decode("utf-8", errors="replace")))
        except Exception as exc:  # noqa: BLE001 - see _prepare
            self._outbox.send(frames.Refused(frame.id, _translated(exc).to_wire()))

    # --- the main thread ---

    def _obey(self, wait: float | None) -> None:
        """Carry out what the other threads left. When that is nothing, `wait` seconds for it; None is for ever."""
        with contextlib.suppress(queue.Empty):
            self._commands.get(timeout=wait)()
            while True:
                self._commands.get_nowait()()

    def _submit(self, request_id: int, request: GenerateRequest, prepared: Prepared, arrived: float) -> None:
        self._preparing.discard(request_id)
        if request_id in self._cancelled:
            self._cancelled.discard(request_id)
            self._engine.interrupts.left(request_id)
            self._emit(request_id, Done("cancelled"))
            return
        self._engine.submit(request_id, request, prepared, arrived)

    def _cancel(self, request_id: int) -> None:
        if request_id in self._preparing:
            self._cancelled.add(request_id)
        self._engine.cancel(request_id)

    def _stop(self) -> None:
        try:
            write_snapshot(self._snapshot, self._engine.states(), _SNAPSHOT_BYTES)
        except OSError as exc:
            sys.stderr.write(f"no snapshot was written: {exc.strerror}\n")  # the next start evaluates anew
        os._exit(0)

    def _pong(self) -> None:
        self._outbox.send(frames.Pong())

    def _refuse(self, request_id: int, error: dict[str, object]) -> None:
        self._preparing.discard(request_id)
        self._cancelled.discard(request_id)
        self._emit(request_id, Failed(error))

    def _emit(self, request_id: int, event: Started | Begun | Delta | Done | Failed) -> None:
        self._outbox.send(frames.Evented(request_id, event))

    def _choose_template(self, load: frames.Load) -> tuple[Template, str]:
        """How the model fills in, and what to tell about it."""
        vocab = self._runner.vocab
        bos = vocab.bos if vocab.adds_bos else -1
        own = template_for(
            vocab.fim, vocab.spelling, vocab.special, model=self._runner.model_name, family=load.family, bos=bos
        )
        if load.fim == "off":
            return Template(CONTINUATION.name, bos=bos), ""
        return selftest.choose(self._runner, own) if load.fim == "auto" else (own.ordered(load.fim), "")

    def _describe(self, name: str, path: str) -> ModelInfo:
        runner = self._runner
        return ModelInfo(
            name=name,
            path=path,
            description=runner.description,
            n_ctx=runner.n_ctx,
            n_ctx_train=runner.n_ctx_train,
            n_vocab=runner.vocab.size,
            n_params=runner.n_params,
            size_bytes=runner.size_bytes,
            fim=self._fim.order if self._fim.usable else "",
            chat=bool(runner.chat_template),
            load_ms=runner.load_ms,
            template=self._fim.name,
            note=self._note,
            prefill_rate=round(self._rates[0], 1),
            decode_rate=round(self._rates[1], 1),
        )


def _key(load: frames.Load) -> str:
    """Names a snapshot after everything that a KV state depends on: the model's file, the cache's type, the code."""
    digest = hashlib.sha256()
    path = Path(load.path)
    with path.open("rb") as file:
        digest.update(file.read(1 << 20))  # the metadata; the whole of a large model would take seconds
    size, changed = path.stat().st_size, path.stat().st_mtime_ns
    for fact in (size, changed, load.kv_type, load.exact, bool(load.gpu_layers), llama_version()):
        digest.update(f"|{fact}".encode())
    return digest.hexdigest()[:32]


def _translated(error: Exception) -> IngleError:
    """A defect of ours becomes an answer too; its own message may quote the prompt and stays here."""
    return error if isinstance(error, IngleError) else IngleError(f"the engine met a defect: {type(error).__name__}")


def default_threads() -> int:
    """One thread a core this process may use; where there are many, one core is left to the rest of the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(cores - 1, 1) if cores > 2 else cores


def _end_with_the_daemon(sock: socket.socket) -> None:
    """A large model takes a minute to load, and nobody reads from `sock` meanwhile."""
    hung_up = select.poll()
    hung_up.register(sock, 0)  # which a poll tells of always
    hung_up.poll()
    os._exit(0)


def _die_with_the_daemon() -> None:
    """Where the kernel offers it (Linux), it ends this process even while it is stopped, or stuck in a GPU's driver."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """`python -m ingle_daemon.engine.worker FD`: serve the daemon at the other end of the socket FD."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    _die_with_the_daemon()
    threading.Thread(target=_end_with_the_daemon, args=(sock,), name="lifeline", daemon=True).start()
    outbox = Outbox(sock)
    outbox.send(hello())
    stream = sock.makefile("rb")
    body = frames.read_frame(stream)
    if body is None:
        return
    load = frames.decode_to_worker(body)
    assert isinstance(load, frames.Load), "the first frame says what to load"
    try:
        worker = Worker(load, outbox)
    except Exception as exc:
        error = NoMemory(f"no memory for {load.path}") if isinstance(exc, MemoryError) else _translated(exc)
        outbox.send(frames.LoadFailed(error.to_wire()))
        if isinstance(exc, (IngleError, MemoryError)):
            return
        raise  # a defect of ours: its place belongs into the log
    outbox.send(frames.Loaded(worker.info))
    worker.run(stream)


if __name__ == "__main__":
    main()
