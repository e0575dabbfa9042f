"""What the server at `[engine] url` is and can: asked once, when it is first used.

vLLM says its context in `/v1/models`, llama-server in `/props`, Ollama in `/api/show`. Knows no prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ingle_daemon.backends.team.http import Http
from ingle_daemon.errors import NoModel

__all__ = ["Served", "ServerKind", "probe"]

ServerKind = Literal["llama-server", "vllm", "ollama", "openai"]
_UNTOLD_CONTEXT = 8192
"""Where a server does not say: what ingle's own engine takes by default."""


@dataclass(frozen=True, slots=True)
class Served:
    """One model of the server. `counts`: it has a tokenizer to ask. `infills`: llama-server's `/infill`."""

    kind: ServerKind
    model: str
    n_ctx: int
    counts: bool
    infills: bool = False


async def probe(http: Http, wanted: str) -> Served:
    """The model `wanted`, or the first one. Raises NoModel when the server has it not, EngineLost when it is none."""
    listed = await http.get("/v1/models")
    models = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(models, list) or not models:
        raise NoModel(f"{http.url} serves no model", hint="Check [engine] url: it must be an OpenAI-compatible server.")
    by_name = {str(model.get("id")): model for model in models if isinstance(model, dict)}
    name = wanted or next(iter(by_name))
    if name not in by_name:
        names = ", ".join(by_name)
        raise NoModel(f"{http.url} does not serve {wanted!r}", hint=f"It serves {names}: set [engine] url_model.")
    return await _describe(http, name, by_name[name])


async def _describe(http: Http, name: str, model: dict[str, Any]) -> Served:
    if length := _number(model, "max_model_len"):
        counts = await http.post("/tokenize", {"model": name, "prompt": "a"}) is not None
        return Served("vllm", name, length, counts=counts)
    props = await http.get("/props")
    if isinstance(props, dict):
        context = _number(props.get("default_generation_settings"), "n_ctx") or _UNTOLD_CONTEXT
        return Served("llama-server", name, context, counts=True, infills=await _infills(http))
    shown = await http.post("/api/show", {"model": name})
    if isinstance(shown, dict):
        info = shown.get("model_info") or {}
        length = next((value for key, value in info.items() if key.endswith(".context_length")), _UNTOLD_CONTEXT)
        return Served("ollama", name, min(int(length), _UNTOLD_CONTEXT), counts=False)
    return Served("openai", name, _UNTOLD_CONTEXT, counts=False)


async def _infills(http: Http) -> bool:
    """llama-server answers 501 where its model has no fill-in-the-middle tokens."""
    body = {"input_prefix": "", "input_suffix": "", "prompt": "", "n_predict": 0}
    return await http.post("/infill", body) is not None


def _number(value: Any, key: str) -> int:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, int) and found > 0 else 0
