"""One engine worker as the daemon sees it: a child process that takes frames and gives frames, and can be killed.

It knows how to start, talk to and end the child, not what the frames are for.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable

from ingle_daemon.engine import frames

__all__ = ["WorkerProcess"]


class WorkerProcess:
    """A running worker. `on_frame` gets every frame; `on_exit` is called once, with the exit status, at the end."""

    def __init__(self, process: asyncio.subprocess.Process, writer: asyncio.StreamWriter) -> None:
        self._process = process
        self._writer = writer
        self._watch: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        load: frames.Load,
        on_frame: Callable[[frames.FromWorker], None],
        on_exit: Callable[[int], None],
    ) -> WorkerProcess:
        """Spawn a worker and tell it what to load."""
        ours, its = socket.socketpair()
        with its:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "ingle_daemon.engine.worker",
                str(its.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(its.fileno(),),
                env=_environment(),
                cwd="/",
            )
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        worker = cls(process, writer)
        worker._watch = asyncio.create_task(worker._follow(reader, on_frame, on_exit))
        worker.send(load)
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, frame: frames.ToWorker) -> None:
        """Queue a frame; one sent to a worker that has just died is lost, and `on_exit` tells."""
        if not self._writer.is_closing():
            self._writer.write(frames.encode(frame))

    async def stop(self) -> None:
        """End the child and wait until it is gone. `on_exit` is not called any more."""
        if self._watch is not None:
            self._watch.cancel()
        self._writer.close()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def _follow(
        self,
        reader: asyncio.StreamReader,
        on_frame: Callable[[frames.FromWorker], None],
        on_exit: Callable[[int], None],
    ) -> None:
        while (body := await frames.read_frame_async(reader)) is not None:
            on_frame(frames.decode_from_worker(body))
        self._writer.close()
        on_exit(await self._process.wait())


def _environment() -> dict[str, str]:
    """Ours, with OpenMP's threads told to sleep at a barrier instead of spinning.

    A spinning thread whose partner has lost its core to another program waits for a whole time slice, some hundred
    times a token: measured on two cores with one of them busy, 0.6 tokens a second spinning, 46 sleeping.
    """
    return {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
