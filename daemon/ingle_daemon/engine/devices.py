"""What llama.cpp can compute on, by its own list: the one word about a GPU that holds for every maker.

The Python binding leaves these functions out. This module declares them; whoever has the library binds them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Literal

from ingle_daemon.protocol import Device

__all__ = ["Bind", "backends", "devices"]

Bind = Callable[[str, list[Any], Any], Callable[..., Any]]
"""A function of the library, by its name, with the types of its arguments and its result."""

Kind = Literal["cpu", "gpu", "igpu", "other"]
_KINDS: dict[int, Kind] = {0: "cpu", 1: "gpu", 2: "igpu"}
_NAMES = {"mtl": "metal"}


class _Capabilities(ctypes.Structure):
    _fields_ = [(name, ctypes.c_bool) for name in ("asynchronous", "host_buffer", "from_host", "events", "mmap")]


class _Properties(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("capabilities", _Capabilities),
    ]


def devices(bind: Bind) -> tuple[Device, ...]:
    """All of them, the CPU too. A GPU's driver is woken up for it."""
    count = bind("ggml_backend_dev_count", [], ctypes.c_size_t)
    get = bind("ggml_backend_dev_get", [ctypes.c_size_t], ctypes.c_void_p)
    describe = bind("ggml_backend_dev_get_props", [ctypes.c_void_p, ctypes.POINTER(_Properties)], None)
    registry = bind("ggml_backend_dev_backend_reg", [ctypes.c_void_p], ctypes.c_void_p)
    name = _naming(bind)
    found = []
    for number in range(count()):
        handle, properties = get(number), _Properties()
        describe(handle, ctypes.byref(properties))
        found.append(_device(properties, name(registry(handle))))
    return tuple(found)


def backends(bind: Bind) -> tuple[str, ...]:
    """What it was built for, whether or not there is such a device: "cpu", "cuda"."""
    count = bind("ggml_backend_reg_count", [], ctypes.c_size_t)
    get = bind("ggml_backend_reg_get", [ctypes.c_size_t], ctypes.c_void_p)
    name = _naming(bind)
    return tuple(name(get(number)) for number in range(count()))


def _naming(bind: Bind) -> Callable[[Any], str]:
    raw = bind("ggml_backend_reg_name", [ctypes.c_void_p], ctypes.c_char_p)

    def name(registry: Any) -> str:
        found = _text(raw(registry)).lower()
        return _NAMES.get(found, found)

    return name


def _device(properties: _Properties, backend: str) -> Device:
    return Device(
        name=_text(properties.name),
        description=_text(properties.description),
        kind=_KINDS.get(properties.type, "other"),
        backend=backend,
        free_bytes=properties.memory_free,
        total_bytes=properties.memory_total,
        bus=_text(properties.device_id),
    )


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")
