"""How models read: the catalog, one model, how it fits, which to take. Answers in, text of 40 columns or more out."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ingle_shell.render import plain, size

__all__ = ["catalog_list", "described", "fitted", "recommended"]

_LEAST_WIDTH, _MOST_WIDTH = 40, 100
_NARROW = 72
_KINDS = {
    "first": "take",
    "chat": "or, to ask only,",
    "completion": "or, to complete only,",
    "restricted": "or, under a licence with conditions,",
}


def catalog_list(models: Sequence[Mapping[str, Any]]) -> str:
    """The catalog, one model a line, or two where the screen is narrow. What is installed is marked."""
    rows = [(_marked(model), size(model["size_bytes"]), "+".join(model["roles"]), model["license"]) for model in models]
    if _width() < _NARROW:
        return plain("\n".join(f"{row[0]}\n{_wrapped('    ' + ', '.join(row[1:]), '    ')}" for row in rows))
    longest = max((len(row[0]) for row in rows), default=0)
    lines = (f"{name:{longest}}  {amount:>6}  {roles:15}  {licence}" for name, amount, roles, licence in rows)
    return plain("\n".join(lines))


def _marked(model: Mapping[str, Any]) -> str:
    return f"{'*' if model['installed'] else ' '} {model['name']}"


def described(model: Mapping[str, Any]) -> str:
    """`ingle model info`: what a model is."""
    facts = {
        "model": f"{plain(model['name'])}: {plain(model['title'])}",
        "licence": _licence(model),
        "use": " and ".join(model.get("roles", ())),
        "fill-in": model.get("family", ""),
        "size": _sizes(model),
        "context": f"{model['context']:,} tokens" if model.get("context") else "",
        "files": ", ".join(quant["name"] for quant in model["quants"]),
        "installed": plain(model["installed"]["path"]) if model["installed"] else "no",
    }
    return "\n".join(_wrapped(f"{name:9} {value}", " " * 10) for name, value in facts.items() if value)


def fitted(model: Mapping[str, Any]) -> str:
    """`ingle model info --fit`: what a model is, how it would be loaded and why, and what else it comes in."""
    head = described(model)
    fit = model["fit"]
    if fit is None:
        return f"{head}\n\n{_wrapped('Its shape is not in the catalog: whether it fits is told once it is here.')}"
    return "\n\n".join(filter(None, (head, _sentences(fit["why"]), _breakdown(fit), _quant_table(model))))


def recommended(answer: Mapping[str, Any]) -> str:
    """`ingle model recommend`: the models to take, why, and what to type."""
    return "\n\n".join([_here(answer["machine"]), *(_pick(pick) for pick in answer["picks"])])


def _pick(pick: Mapping[str, Any]) -> str:
    head = f"{_KINDS[pick['kind']]} {plain(pick['name'])} ({size(pick['size_bytes'])}, {plain(pick['license'])})"
    return "\n".join((_wrapped(head), _sentences(pick["why"], "  "), f"  {pick['command']}"))


def _here(machine: Mapping[str, Any]) -> str:
    gpus = [f"{plain(gpu['name'])}, {_gib(gpu['total_bytes'])}" for gpu in machine["devices"]]
    return _wrapped(f"with {'; '.join([*(gpus or ['no GPU']), 'RAM, ' + _gib(machine['ram_total_bytes'])])}:")


def _gib(count: int) -> str:
    """Memory as it is sold."""
    return f"{count / 2**30:.1f}".removesuffix(".0") + " GiB"


def _licence(model: Mapping[str, Any]) -> str:
    if "license" not in model:
        return ""
    conditions = "" if model["open"] else ", with conditions:"
    return plain(f"{model['license']}{conditions} {model['license_url']}").strip()


def _sizes(model: Mapping[str, Any]) -> str:
    if "size_bytes" not in model:
        return size(model["installed"]["size_bytes"])
    parameters = f", {model['parameters'] / 1e9:.1f} billion parameters" if model["parameters"] else ""
    return f"{size(model['size_bytes'])} in {model['quant']}{parameters}"


# --- how it fits -----------------------------------------------------------------------------------------


def _breakdown(fit: Mapping[str, Any]) -> str:
    """Bytes by what they are for and where they lie."""
    needs = fit["needs"]
    rows = [
        ("weights", needs["weights_gpu"], needs["weights_ram"]),
        ("KV cache", needs["kv_gpu"], needs["kv_ram"]),
        ("buffers", needs["compute_gpu"], needs["compute_ram"]),
        ("driver", needs["driver_gpu"], 0),
        ("in all", fit["gpu_bytes"], fit["ram_bytes"]),
    ]
    if not fit["gpu_layers"]:
        return _table([("", "RAM"), *((name, _amount(ram)) for name, _, ram in rows if name != "driver")])
    return _table([("", "GPU", "RAM"), *((name, _amount(gpu), _amount(ram)) for name, gpu, ram in rows)])


def _quant_table(model: Mapping[str, Any]) -> str:
    rows = [
        (
            ("*" if quant["name"] == model["quant"] else " ") + f" {quant['name']}",
            size(quant["size_bytes"]),
            _where(quant["fit"], quant["layers"]),
            f"{quant['fit']['context']:,}",
            quant["fit"]["kv_type"],
        )
        for quant in model["quants"]
        if quant["fit"]
    ]
    return _table([("  file", "size", "on GPU", "context", "KV"), *rows]) if rows else ""


def _where(fit: Mapping[str, Any], layers: int) -> str:
    if not fit["fits"]:
        return "too big"
    return "all" if fit["full"] else f"{fit['gpu_layers']}/{layers}" if fit["gpu_layers"] else "none"


def _amount(count: int) -> str:
    return size(count) if count else "-"


def _table(rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as what is in them, the first one to the left."""
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        " ".join(
            [f"{line[0]:{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )


# --- words -----------------------------------------------------------------------------------------------


def _sentences(why: Iterable[str], indent: str = "") -> str:
    return "\n".join(_wrapped(f"{indent}{plain(sentence)}", indent) for sentence in why)


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _width(), subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def _width() -> int:
    columns = shutil.get_terminal_size((_MOST_WIDTH, 24)).columns
    return min(max(columns, _LEAST_WIDTH), _MOST_WIDTH)
