"""One engine worker as the daemon sees it: a child process that takes frames and gives frames, and can be killed.

It knows how to start, talk to and end the child, not what the frames are for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable

from ingle_daemon.engine import frames

__all__ = ["WorkerProcess", "worker_environment"]

_STOP_PATIENCE_S = 5


class WorkerProcess:
    """A running worker. `on_frame` gets every frame; `on_exit` is called once, with the exit status, at the end."""

    def __init__(self, process: asyncio.subprocess.Process, writer: asyncio.StreamWriter) -> None:
        self._process = process
        self._writer = writer
        self._watch: asyncio.Task[None] | None = None
        self._stopping = False

    @classmethod
    async def start(
        cls,
        on_frame: Callable[[frames.FromWorker], None],
        on_exit: Callable[[int], None],
    ) -> WorkerProcess:
        """Spawn a worker. Its first frame is Hello, and it waits for what to load."""
        ours, its = socket.socketpair()
        with its:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "ingle_daemon.engine.worker",
                str(its.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(its.fileno(),),
                env=worker_environment(),
                cwd="/",
            )
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        worker = cls(process, writer)
        worker._watch = asyncio.create_task(worker._follow(reader, on_frame, on_exit))
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, frame: frames.ToWorker) -> None:
        """Queue a frame; one sent to a worker that has just died is lost, and `on_exit` tells."""
        if not self._writer.is_closing():
            self._writer.write(frames.encode(frame))

    def kill(self) -> None:
        """End the child at once, whatever it does; `on_exit` tells when it is gone."""
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            self._process.kill()

    async def stop(self) -> None:
        """End the child, its snapshot written if it manages in time, and wait until it is gone.

        Neither `on_frame` nor `on_exit` is called any more; what it still says is read, so that it is not held up.
        """
        self._stopping = True
        self.send(frames.Stop())
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_PATIENCE_S)
        except asyncio.TimeoutError:
            self.kill()
        if self._watch is not None:
            await self._watch

    async def _follow(
        self,
        reader: asyncio.StreamReader,
        on_frame: Callable[[frames.FromWorker], None],
        on_exit: Callable[[int], None],
    ) -> None:
        try:
            while (body := await frames.read_frame_async(reader)) is not None:
                if not self._stopping:
                    on_frame(frames.decode_from_worker(body))
        finally:
            self._writer.close()  # which ends the worker, too, if it was we who failed
            status = await self._process.wait()
            if not self._stopping:
                on_exit(status)


def worker_environment() -> dict[str, str]:
    """Ours, with libgomp's threads told to spin for a millisecond or so at a barrier before they sleep.

    That is as fast as libgomp's own ten times as long while nobody else computes. Where somebody does,
    `engine/spin.py` shortens it, and less is lost until that is noticed. `tests/bench/threads.py` measures it.
    """
    return {"GOMP_SPINCOUNT": "30000", **os.environ}
