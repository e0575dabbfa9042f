"""Whether the machine runs on its battery, and that whoever should save then is told.

It knows neither what is saved nor how. A machine without a battery is asked once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

__all__ = ["Power", "on_battery"]

_log = logging.getLogger(__name__)
_EVERY_S = 30.0


def on_battery() -> bool | None:
    """None: there is no battery, or nobody can tell."""
    import psutil  # here, because it is only needed once the daemon serves

    battery = psutil.sensors_battery()
    return None if battery is None or battery.power_plugged is None else not battery.power_plugged


class Power:
    """Tells `save` of every change, unless `heeded` is False. It is asked every half a minute."""

    def __init__(
        self,
        save: Callable[[bool], None],
        *,
        heeded: bool,
        read: Callable[[], bool | None] = on_battery,
        every: float = _EVERY_S,
    ) -> None:
        self._save = save
        self._heeded = heeded
        self._read = read
        self._every = every
        self._task: asyncio.Task[None] | None = None
        self.on_battery: bool | None = None

    @property
    def saving(self) -> bool:
        """Work that nobody waits for is left undone, and what is done is done with less."""
        return self._heeded and bool(self.on_battery)

    def start(self) -> None:
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def status(self) -> dict[str, object]:
        return {"on_battery": self.on_battery, "saving": self.saving}

    async def _follow(self) -> None:
        while (now := await asyncio.to_thread(self._read)) is not None:
            before, self.on_battery = self.saving, now
            if self.saving != before:
                _log.info("on battery: saving" if self.saving else "plugged in: saving no more")
                self._save(self.saving)
            await asyncio.sleep(self._every)
        self.on_battery = None
