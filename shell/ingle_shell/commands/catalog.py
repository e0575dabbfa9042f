"""`ingle model list|search|info|recommend`: what there is, what it takes, and what to take."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from ingle_daemon.client import call
from ingle_shell.commands.base import Command, count
from ingle_shell.commands.base import add as _add
from ingle_shell.model_views import catalog_list, described, fitted, recommended
from ingle_shell.render import model_list
from ingle_shell.screen import Screen

if TYPE_CHECKING:
    from ingle_shell.commands.base import Commands

__all__ = ["add", "memory"]

_UNITS = {"": 2**30, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZES = "SIZE is 4GiB, 6000MB or so; a number alone is GiB."


def add(model: Commands) -> None:
    """Declare them."""
    listed = _add(model, "list", "the models on this machine", Command(_list, _listed), as_json=True)
    listed.add_argument("--all", action="store_true", help="and those of the catalog")
    what = "look for models in the catalog; exit code 1 where there is none"
    search = Command(_search, _found, lambda answer: 0 if answer["models"] else 1)
    found = _add(model, "search", what, search, as_json=True)
    found.add_argument("text", metavar="TEXT", nargs="*", help="words of its name, licence or use: `coder apache`")
    info = _add(model, "info", "what a model is, and what it takes", Command(_info, _told), as_json=True)
    info.add_argument("name", metavar="NAME", help="of the catalog, NAME or NAME:QUANT, or an installed one")
    info.add_argument("--fit", action="store_true", help="how it would be loaded, why, and in which quantizations")
    _add_machine(info)
    best = _add(
        model,
        "recommend",
        "which model to take on this machine, and why",
        Command(_recommend, recommended),
        as_json=True,
    )
    _add_machine(best)


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _SIZES
    parser.add_argument("--vram", metavar="SIZE", type=memory, help="suppose a GPU with so much memory; 0 is no GPU")
    parser.add_argument("--ram", metavar="SIZE", type=memory, help="suppose a machine with so much memory")
    parser.add_argument("--context", metavar="N", type=count, help="tokens of context to plan for; 8192 by itself")


def memory(text: str) -> int:
    """An argument that is an amount of memory."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]i?)?b?", text.strip().lower())
    if not found:
        raise ValueError
    return int(float(found[1]) * _UNITS[found[2] or ""])


memory.__name__ = "size (like 4GiB)"  # argparse calls a type by its name where it refuses a value


def _list(options: argparse.Namespace) -> Any:
    models, known = call("GET", "/ingle/models"), _catalog("")
    licences = {model["name"]: model["license"] for model in known}
    installed = [
        {**model, "license": licences.get(model["name"].partition(":")[0], "")} for model in models["installed"]
    ]
    return {**models, "installed": installed} | ({"catalog": known} if options.all else {})


def _listed(answer: Any) -> str:
    return catalog_list(answer["catalog"]) if "catalog" in answer else model_list(answer)


def _search(options: argparse.Namespace) -> Any:
    models = _catalog(" ".join(options.text))
    if not models:
        Screen().note("no model of the catalog has all these words in it: `ingle model list --all`")
    return {"models": models}


def _catalog(text: str) -> Any:
    return call("POST", "/ingle/models/search", {"text": text})["models"]


def _found(answer: Any) -> str:
    return catalog_list(answer["models"])


def _info(options: argparse.Namespace) -> Any:
    answer = call("POST", "/ingle/models/info", {"model": options.name, **_machine(options)})
    return answer if options.fit else {name: value for name, value in answer.items() if name not in ("fit", "machine")}


def _told(answer: Any) -> str:
    return fitted(answer) if "fit" in answer else described(answer)


def _recommend(options: argparse.Namespace) -> Any:
    return call("POST", "/ingle/models/recommend", _machine(options))


def _machine(options: argparse.Namespace) -> dict[str, int]:
    said = {"vram": options.vram, "ram": options.ram, "context": options.context}
    return {name: value for name, value in said.items() if value is not None}
