"""What `ingle status` says of the loaded model and of what it runs on. Pure: the daemon's status in, lines out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["model_lines"]

_MARGIN = 10
_GIB = 1 << 30


def model_lines(status: Mapping[str, Any]) -> list[str]:
    """The model, how it is loaded and why so, the GPUs, and what is to be done about them."""
    model = status["model"]
    info, plan = model.get("info") or {}, model.get("plan") or {}
    lines = _row("model", _named(model))
    if info.get("n_ctx"):
        lines += _row("context", f"{info['n_ctx']} tokens")
    for text in (model.get("why"), info.get("note"), model.get("error")):
        lines += _row("", text)
    if plan and _gpus(status):
        lines += _row("layers", _layers(plan, model["layers"]))
    for step in model.get("steps", ()):
        lines += _row("memory", f"not enough: {step}")
    if chat := status.get("chat"):
        lines += _row("questions", _named(chat)) + _row("", chat.get("why")) + _row("", chat.get("error"))
        if chat.get("together") is False:
            lines += _row("", "both models do not fit: one at a time is loaded")
    for device in _gpus(status):
        lines += _row("GPU", f"{device['description']} ({device['name']}), {_memory(device)}")
    machine = status.get("gpu") or {}
    if machine.get("yielded"):
        lines += _row("GPU", "left to another program that needs its memory")
    lines += _row("GPU", machine.get("advice"))
    if (status.get("power") or {}).get("saving"):
        lines += _row("power", "on battery: fewer threads, nothing made ahead")
    return lines


def _named(model: Mapping[str, Any]) -> str:
    name = (model.get("info") or {}).get("name")
    return f"{name} ({model['state']})" if name else f"({model['state']})"


def _row(label: str, text: str | None) -> list[str]:
    """A label and a text; the text's further lines stand below it."""
    first, *others = (text or "").splitlines() or [""]
    return [f"{label:{_MARGIN}}{first}", *(" " * _MARGIN + line for line in others)] if first else []


def _gpus(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    devices = (status.get("gpu") or {}).get("devices") or ()
    return [device for device in devices if device["kind"] in ("gpu", "igpu")]


def _layers(plan: Mapping[str, Any], layers: int) -> str:
    if plan.get("full"):
        return "all on the GPU"
    return f"{min(plan['gpu_layers'], layers)} of {layers} on the GPU" if plan["gpu_layers"] else "all on the CPU"


def _memory(device: Mapping[str, Any]) -> str:
    return f"{device['total_bytes'] / _GIB:.1f} GiB, {device['free_bytes'] / _GIB:.1f} free before the model"
