"""Settings: a fully defaulted tree, parsed once from the user's TOML file. Bad input is a message with its line.

This module knows what may be set, not what any of it does.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import tomli

from ingle_daemon import paths
from ingle_daemon.errors import UsageError, reason
from ingle_daemon.written import text_of

__all__ = [
    "ApiSettings",
    "BudgetSettings",
    "EngineSettings",
    "PowerSettings",
    "PrivacySettings",
    "ProviderSettings",
    "ServerSettings",
    "Settings",
    "load",
    "parse",
]


_INT32_MAX = 2**31 - 1  # what llama.cpp counts with

Positive = Annotated[int, msgspec.Meta(gt=0, le=_INT32_MAX)]
Tokens = Annotated[int, msgspec.Meta(ge=64, le=_INT32_MAX)]
Threads = Annotated[int, msgspec.Meta(ge=0, le=512)]  # ggml has no room for more
Layers = Annotated[int, msgspec.Meta(ge=-1, le=_INT32_MAX)]
Temperature = Annotated[float, msgspec.Meta(ge=0, le=2)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Price = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class EngineSettings(_Section, frozen=True, kw_only=True):
    model: str = ""
    """A name from the store or a path to any GGUF; empty: the store's current model. INGLE_MODEL overrides it."""
    chat_model: str = ""
    """Another model for questions, named in the same way; empty: the same. Where both do not fit, one at a time is
    loaded, and questions wait for a pause in typing."""
    context: Tokens = 8192
    """Tokens of context, cut down to what the model was trained for and what the memory holds."""
    threads: Threads = 0
    """CPU threads; 0 chooses."""
    gpu_layers: Layers = -1
    """Layers on the GPU; -1 leaves it to the plan, which goes by what is free."""
    kv_type: Literal["auto", "f16", "q8_0"] = "auto"
    """What the KV cache holds. On a CPU q8_0 answers token-exactly, f16 evaluates long prompts up to twice as fast;
    "auto" is q8_0 there if the weights allow that, else f16, as on a GPU, where there is room."""
    exact: bool = False
    """Answers without chance (temperature 0) never depend on what else runs, whatever the model's quantization: on a
    CPU, where prompts are then read more slowly. Where it costs nothing they do not anyway."""
    batch: Tokens = 256
    """Tokens evaluated in one step at most; a smaller one cancels sooner."""
    splice: Literal["auto", "off"] = "auto"
    """Reuse the cells of what follows the cursor while somebody types before it, where the model's memory allows it."""
    fim: Literal["auto", "psm", "spm", "spm-joint", "off"] = "auto"
    """How the model fills in the middle; "auto" goes by its GGUF and tries it when it is loaded."""
    fim_tokens: Annotated[int, msgspec.Meta(ge=0, le=32768)] = 0
    """The longest prompt of a completion; 0 chooses by this machine's speed and `fim_seconds`."""
    fim_seconds: Annotated[float, msgspec.Meta(gt=0, le=60)] = 4.0
    """What the first completion in a file may take, where `fim_tokens` is 0; later ones evaluate what was typed."""
    url: str = ""
    """A server of the team's that answers instead of this machine's model: vLLM, llama-server, Ollama. Everything that
    is asked or completed goes there; the model of this machine stands in while it cannot be reached."""
    url_model: str = ""
    """Which of that server's models; empty: its first."""
    url_key_env: str = ""
    """The environment variable that holds the server's key, where it wants one."""
    queue: Positive = 64
    """Requests that wait or run at once; one more is refused."""
    max_seconds: Seconds = 600.0
    """A request that runs longer is ended."""
    keep_alive: Annotated[float, msgspec.Meta(ge=-1)] = 30.0
    """Minutes without a request after which the model leaves memory, until the next one; -1 is never."""
    preload: bool = True
    """Load the model when the daemon starts, at login where a service does that, not with the first request."""
    yield_gpu: bool = True
    """Leave the GPU's memory to another program that needs it, while nobody waits for an answer, and come back."""


class PowerSettings(_Section, frozen=True, kw_only=True):
    on_battery: Literal["save", "same"] = "save"
    """On battery: half the threads, a longer pause in typing before a completion, and nothing made ahead of a request.
    "same" makes no difference."""


class ServerSettings(_Section, frozen=True, kw_only=True):
    tcp_port: Port = 0
    """Also listen on 127.0.0.1 at this port, behind a bearer token; 0 is off."""
    max_body_bytes: Positive = 64 * 1024 * 1024
    """A larger request is refused."""


class ProviderSettings(_Section, frozen=True, kw_only=True):
    url: str = ""
    """Base URL of an OpenAI-compatible API, as far as /v1."""
    model: str = ""
    key: str = ""
    """The name under which `ingle key set` put the key into the keyring. The key itself never stands in this file."""
    key_env: str = ""
    """The environment variable that holds the key."""
    key_command: tuple[str, ...] = ()
    """A program and its arguments that print the key."""
    allow: bool | None = None
    """Consent: questions may go there. False: never, and nobody is asked."""
    context: Positive | None = None
    """Tokens that its context holds, where the provider's list of models does not say."""
    max_tokens: Positive | None = None
    """The longest answer, what it thinks included; [ask] max_tokens where it is not set."""
    price_in: Price | None = None
    """US dollars a million prompt tokens, where the provider's list of models does not say."""
    price_out: Price | None = None
    """US dollars a million answer tokens."""
    timeout: Seconds = 60.0
    """Seconds without a byte before the call is given up."""


class ApiSettings(ProviderSettings, frozen=True, kw_only=True):
    """What stands in [api] itself holds for every role that names no url of its own."""

    escalate: Literal["offer", "auto", "off"] = "offer"
    """What becomes of a local answer that is doubted: the user may have the API asked, it is asked, or neither."""
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    """A local answer that is right with a lower probability is doubted."""
    default: ProviderSettings | None = None
    reasoning: ProviderSettings | None = None
    fallback: tuple[ProviderSettings, ...] = ()
    """Asked in this order when the one before fails and nothing was answered yet."""


class PrivacySettings(_Section, frozen=True, kw_only=True):
    private: tuple[str, ...] = ()
    """Patterns as in .gitignore: what is asked about such a file, or in such a folder, never leaves."""
    keep_bodies: bool = False
    """Keep in the ledger what left, not only its receipt."""


class BudgetSettings(_Section, frozen=True, kw_only=True):
    day: Price | None = None
    """US dollars that API models may cost in a day, by this machine's clock."""
    month: Price | None = None


class CompletionSettings(_Section, frozen=True, kw_only=True):
    context: Literal["on", "off"] = "off"
    """Definitions and similar code of the workspace in a completion's prompt, from an index that is kept of it."""
    keep_text: bool = False
    """Keep the text of completions in the journal, not only what became of them."""


class AskSettings(_Section, frozen=True, kw_only=True):
    max_tokens: Positive = 1024
    """The longest answer; this much context is kept free for it."""
    temperature: Temperature = 0.2
    repeat_penalty: Annotated[float, msgspec.Meta(gt=0)] = 1.1
    """Above 1, words already used become less likely: without it small models fall into loops."""
    log: bool = True
    """Keep questions and answers, so that a conversation can go on."""


class Settings(_Section, frozen=True, kw_only=True):
    offline: bool = False
    """Nothing ever leaves this machine."""
    engine: EngineSettings = EngineSettings()
    power: PowerSettings = PowerSettings()
    server: ServerSettings = ServerSettings()
    api: ApiSettings = ApiSettings()
    privacy: PrivacySettings = PrivacySettings()
    budget: BudgetSettings = BudgetSettings()
    tasks: dict[str, Literal["local", "api", "think"]] = {}
    """Where questions of a task go when the command line does not say."""
    completion: CompletionSettings = CompletionSettings()
    ask: AskSettings = AskSettings()


def load(path: Path | None = None) -> Settings:
    """Read the settings; a missing file is all defaults. Raises UsageError with file and line."""
    path = path or paths.config_file()
    try:
        text = text_of(path)
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"cannot read {path}: {reason(exc)}", hint="Make it a readable UTF-8 file.") from exc
    settings = parse(text, str(path))
    if model := os.environ.get("INGLE_MODEL"):
        settings = msgspec.structs.replace(settings, engine=msgspec.structs.replace(settings.engine, model=model))
    return settings


def parse(text: str, name: str = "config.toml") -> Settings:
    """Settings from TOML text. Raises UsageError naming `name` and the line."""
    try:
        table = tomli.loads(text)
    except tomli.TOMLDecodeError as exc:
        raise UsageError(
            f"{name}:{exc.lineno}: not valid TOML: {exc.msg}", hint="Correct that line.", line=exc.lineno
        ) from exc
    except (RecursionError, ValueError) as exc:  # brackets without end, a number of thousands of digits
        raise UsageError(f"{name}:1: not valid TOML: {exc}", hint="Correct it.", line=1) from exc
    try:
        msgspec.convert(table, Settings)
        return msgspec.convert(_with_roles(table), Settings)
    except msgspec.ValidationError as exc:
        what, _, where = str(exc).partition(" - at `$")
        keys = where.rstrip("`").lstrip(".").split(".") if where else []
        keys = [key for key in keys if key]
        if unknown := re.search(r"unknown field `(.+)`", what):
            what = _no_such_setting(unknown[1], keys)
            keys.append(unknown[1])
        line = _line_of(text, keys)
        raise UsageError(
            f"{name}:{line}: {'.'.join(keys) or 'settings'}: {what}",
            hint="The settings and their types are listed in docs/configuration.md.",
            line=line,
        ) from exc


def _no_such_setting(name: str, section: list[str]) -> str:
    """What is said of a setting that there is not in that section, with the one that was probably meant."""
    kind: Any = Settings
    for key in section:
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
        kind = fields.get(key)
        if not (isinstance(kind, type) and issubclass(kind, _Section)):
            return "there is no such setting"
    close = difflib.get_close_matches(name, [field.encode_name for field in msgspec.structs.fields(kind)], n=1)
    return f"there is no such setting; did you mean {close[0]}?" if close else "there is no such setting"


_OF_NO_ROLE = ("default", "reasoning", "fallback", "escalate", "confidence")


def _with_roles(table: dict[str, Any]) -> dict[str, Any]:
    """The table with what [api] says written into its roles. A role with a url of its own gets nothing, least a key."""
    api = table.get("api", {})
    shared = {key: value for key, value in api.items() if key not in _OF_NO_ROLE}
    roles: dict[str, Any] = {}
    for name in ("default", "reasoning"):
        if name in api or (name == "default" and shared.get("model")):
            roles[name] = _inheriting(shared, api.get(name, {}))
    fallback = [_inheriting(shared, role) for role in api.get("fallback", ())]
    return {**table, "api": {**api, **roles, "fallback": fallback}}


def _inheriting(shared: dict[str, Any], role: dict[str, Any]) -> dict[str, Any]:
    return dict(role) if "url" in role else {**shared, **role}


def _line_of(text: str, keys: list[str]) -> int:
    """The line on which the setting `keys` stands; the closest one found when it cannot be told."""
    line, table = 1, ""
    for number, content in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([^\]]+?)\s*\]", content):
            table = header[1]
            if keys and table == keys[0]:
                line = number
        elif (
            keys
            and re.match(rf"\s*(?:{re.escape('.'.join(keys))}|{re.escape(keys[-1])})\s*=", content)
            and (table == ".".join(keys[:-1]) or "." in content.split("=")[0])
        ):
            return number
    return line
