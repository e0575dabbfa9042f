"""The last look at the machine: what llama.cpp sees of it, what NVIDIA's driver says, what that means for the user.

`look` blocks: it asks the driver.
"""

from __future__ import annotations

from collections.abc import Callable

from ingle_daemon.engine.frames import Hello
from ingle_daemon.models import gpu
from ingle_daemon.models.binding import advice
from ingle_daemon.models.fit import Machine
from ingle_daemon.models.machine import Memory, counterpart, machine, memory, used_gpus

__all__ = ["Survey"]


class Survey:
    """Looks when a worker is about to load; tells later what it saw then."""

    def __init__(self, read: Callable[[], gpu.Reading] = gpu.read, ram: Callable[[], Memory] = memory) -> None:
        self._read = read
        self._ram = ram
        self.hello: Hello | None = None
        self._reading = gpu.Reading()
        self.reserve = 0
        """Bytes of each GPU that are to stay free: another program needs them."""

    def look(self, hello: Hello) -> Machine:
        """The machine as it is now, for the planner."""
        self.hello, self._reading = hello, self._read()
        return machine(hello.devices, self._reading, self._ram(), self.reserve)

    def watch(self) -> tuple[gpu.Reading, tuple[gpu.Gpu, ...]]:
        """What the driver says now, and those of its GPUs that llama.cpp uses."""
        reading = self._read()
        seen = used_gpus(self.hello.devices) if self.hello else ()
        found = (counterpart(each, reading.gpus) for each in seen)
        return reading, tuple(each for each in found if each)

    def status(self) -> dict[str, object]:
        """`devices` are llama.cpp's own list; `advice` is what to do so that a GPU is used, or empty."""
        if self.hello is None:
            return {"devices": [], "advice": ""}
        return {
            "devices": list(self.hello.devices),
            "advice": advice(self.hello.backends, self.hello.devices, self._reading),
            "llama_cpp": self.hello.version,
        }
