"""How the model and the machine below it read in `ingle status`."""

from __future__ import annotations

from typing import Any

from ingle_shell.machinery import model_lines

GPU = {
    "name": "CUDA0",
    "description": "RTX 3050",
    "kind": "gpu",
    "backend": "cuda",
    "free_bytes": 3 << 30,
    "total_bytes": 4 << 30,
}
CPU = {**GPU, "name": "CPU", "kind": "cpu"}


def status(devices: tuple[Any, ...] = (CPU,), advice: str = "", **model: Any) -> dict[str, Any]:
    return {"model": {"state": "ready", **model}, "gpu": {"devices": devices, "advice": advice}}


def test_a_model_on_the_cpu_is_named_with_its_context() -> None:
    plan = {"gpu_layers": 0, "full": False}
    assert model_lines(status(info={"name": "tiny", "n_ctx": 2048}, plan=plan, layers=30)) == [
        "model     tiny (ready)",
        "context   2048 tokens",
    ]


def test_what_is_on_a_gpu_and_what_had_to_give_way_is_told() -> None:
    model: dict[str, Any] = {"info": {"name": "tiny", "n_ctx": 4096}, "layers": 30, "steps": ["context 8192 → 4096"]}
    assert model_lines(status((GPU, CPU), plan={"gpu_layers": 12, "full": False}, **model)) == [
        "model     tiny (ready)",
        "context   4096 tokens",
        "layers    12 of 30 on the GPU",
        "memory    not enough: context 8192 → 4096",
        "GPU       RTX 3050 (CUDA0), 4.0 GiB, 3.0 free before the model",
    ]
    assert "layers    all on the GPU" in model_lines(status((GPU,), plan={"gpu_layers": 31, "full": True}, **model))
    assert "layers    all on the CPU" in model_lines(status((GPU,), plan={"gpu_layers": 0}, **model))


def test_why_a_model_is_not_loaded_stands_below_it() -> None:
    assert model_lines(status(state="idle", why="nobody used it for 30 minutes")) == [
        "model     (idle)",
        "          nobody used it for 30 minutes",
    ]
    assert model_lines(status(state="failed", error="it is damaged\n  Pull it again.")) == [
        "model     (failed)",
        "          it is damaged",
        "            Pull it again.",
    ]


def test_a_command_that_is_to_be_copied_stands_on_a_line_of_its_own() -> None:
    assert model_lines(status(advice="the RTX is not used.\nThis installs one:\npip install x"))[1:] == [
        "GPU       the RTX is not used.",
        "          This installs one:",
        "          pip install x",
    ]


def test_what_is_left_to_others_and_saved_is_told() -> None:
    said = {**status(), "power": {"on_battery": True, "saving": True}}
    said["gpu"]["yielded"] = True
    assert model_lines(said)[1:] == [
        "GPU       left to another program that needs its memory",
        "power     on battery: fewer threads, nothing made ahead",
    ]


def test_the_model_for_questions_stands_below_the_other() -> None:
    said = {**status(), "chat": {"state": "idle", "why": "completions need their model", "together": False}}
    assert model_lines(said)[1:] == [
        "questions (idle)",
        "          completions need their model",
        "          both models do not fit: one at a time is loaded",
    ]
    said["chat"] = {"state": "ready", "info": {"name": "big"}, "together": True}
    assert model_lines(said)[1:] == ["questions big (ready)"]


def test_a_daemon_that_says_less_is_understood() -> None:
    assert model_lines({"model": {"state": "none"}}) == ["model     (none)"]
