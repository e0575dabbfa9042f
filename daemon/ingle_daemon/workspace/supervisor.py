"""One workspace as the daemon sees it: a child process that keeps its index, and what that last said.

It knows how to start, follow and end the child, not what is in the index.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ingle_daemon.storage import remove_database
from ingle_daemon.workspace.report import Report

__all__ = ["Supervisor"]

_MOST_DEATHS = 5
_STOP_PATIENCE_S = 5
_log = logging.getLogger(__name__)


class Supervisor:
    """Keeps the indexer of `root` running. `report` is what it said last; `heard` is called with each."""

    def __init__(self, root: Path, database: Path, heard: Callable[[], None]) -> None:
        self.root = root
        self.database = database
        self.report = Report(state="scanning")
        self._heard = heard
        self._process: asyncio.subprocess.Process | None = None
        self._damaged = False
        self._ended: float | None = None
        self._task = asyncio.create_task(self._supervise())

    def ended_for(self) -> float:
        """For how many seconds nothing runs any more and nothing will; 0 while it does."""
        return time.monotonic() - self._ended if self._ended is not None else 0.0

    @property
    def pid(self) -> int | None:
        """The indexer's, while there is one."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def make_anew(self) -> None:
        """The index is damaged: throw it away and begin again."""
        if not self._damaged and self._process is not None and self._process.returncode is None:
            self._damaged = True
            self.report = Report(state="scanning")
            self._process.kill()

    async def stop(self) -> None:
        """End the child and wait until it is gone."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _supervise(self) -> None:
        """Run the indexer, again after every death; what ends it is found by reading one file at a time."""
        deaths = 0
        while deaths < _MOST_DEATHS:
            try:
                status = await self._run(careful=deaths > 0)
            except OSError as exc:  # no process can be had
                status = exc.errno or 1
            if self._damaged:
                await asyncio.to_thread(remove_database, self.database)
                self._damaged = False
                continue
            if status == 0:
                self._ended = time.monotonic()  # it has said why
                return
            _log.warning("an indexer died", extra={"status": status})
            deaths = 1 if self.report.state == "ready" else deaths + 1
        self._ended = time.monotonic()
        self._hear(msgspec.structs.replace(self.report, state="failed", error=f"the indexer died {deaths} times"))

    async def _run(self, *, careful: bool) -> int:
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "ingle_daemon.workspace.indexer", str(self.database), str(self.root)),
            *(["careful"] if careful else []),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd="/",
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                self._hear(msgspec.json.decode(line, type=Report))
            return await process.wait()
        finally:
            process.stdin.close()  # which ends it
            if process.returncode is None:
                await _ended(process)

    def _hear(self, report: Report) -> None:
        self.report = report
        self._heard()


async def _ended(process: asyncio.subprocess.Process) -> None:
    try:
        await asyncio.wait_for(process.wait(), _STOP_PATIENCE_S)
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()
