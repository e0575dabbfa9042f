"""`ingle model …`: list, fetch, import, choose, verify and remove models."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from ingle_daemon.client import call
from ingle_daemon.errors import Interrupted, NoModel
from ingle_shell.commands import bench, catalog
from ingle_shell.commands.base import Command, add_group
from ingle_shell.commands.base import add as _add
from ingle_shell.render import found_models, verified
from ingle_shell.screen import Screen, agrees

if TYPE_CHECKING:
    from ingle_shell.commands.base import Commands

__all__ = ["add"]

_SOURCES = """\
NAME is one of:
  NAME, NAME:QUANT          of the catalog, as it is, or in another quantization
  hf:OWNER/REPO[:QUANT]     a repository of the Hugging Face hub, Q4_K_M by itself
  hf:OWNER/REPO:FILE.gguf   a file of it
  https://…/FILE.gguf       any address; #sha256=… behind it is what it must be
  PATH                      a file on this machine, which stays where it is
"""
_PROGRAMS = ("ollama", "lmstudio", "hub", "llama.cpp")


def add(commands: Commands) -> None:
    """Declare them."""
    parser = commands.add_parser("model", help="list, fetch and choose models")
    model = add_group(parser)
    catalog.add(model)
    _add_pull(model)
    _add_import(model)
    bench.add(model)
    used = Command(_use, lambda answer: f"using {answer['current']}")
    use = _add(model, "use", "answer with this model", used, as_json=True)
    use.add_argument("name", metavar="NAME")
    verify = _add(
        model, "verify", "read models again: are they what was installed?", Command(_verify, verified), as_json=True
    )
    verify.add_argument("name", metavar="NAME", nargs="?", default="", help="without it, all of them")
    remove = _add(
        model, "rm", "remove a model", Command(_remove, lambda answer: f"removed {answer['removed']}"), as_json=True
    )
    remove.add_argument("name", metavar="NAME", help="a file that is another program's, or yours, stays")
    remove.add_argument("-y", "--yes", action="store_true", help="do not ask")
    remove.add_argument("--force", action="store_true", help="even if it is the model that answers")


def _add_pull(model: Commands) -> None:
    pull = _add(model, "pull", "fetch a model", Command(_pull, lambda _: ""), as_json=True)
    pull.epilog = _SOURCES
    pull.add_argument("name", metavar="NAME", nargs="?", help="see below; without it, ingle offers one")
    pull.add_argument("--as", dest="called", metavar="NAME", default="", help="what it is to be called here")
    pull.add_argument("--sha256", metavar="DIGEST", default="", help="refuse any other file")
    pull.add_argument("--accept-license", action="store_true", help="accept a licence that restricts its use")


def _add_import(model: Commands) -> None:
    what = "use a model that is on this machine already, without copying it"
    command = _add(model, "import", what, Command(_import, found_models), as_json=True)
    command.add_argument(
        "name", metavar="NAME|PATH", nargs="?", default="", help="without it, those that were found are listed"
    )
    command.add_argument("--from", dest="program", choices=_PROGRAMS, default="", help="whose it is")
    command.add_argument("--as", dest="called", metavar="NAME", default="", help="what it is to be called here")


def _pull(options: argparse.Namespace) -> Any:
    from ingle_shell import fetching, first_run

    if not options.name:
        return first_run.pull_offered()
    wanted = {
        "model": _whole_path(options.name),
        "name": options.called,
        "sha256": options.sha256,
        "accept_license": options.accept_license,
    }
    return fetching.pull({name: value for name, value in wanted.items() if value}, Screen())


def _import(options: argparse.Namespace) -> Any:
    from ingle_shell import fetching

    if not options.name:
        found = call("GET", "/ingle/models/found")
        return [model for model in found if options.program in ("", model["program"])]
    # A name of another program's may look like a path: LM Studio's are PUBLISHER/REPOSITORY/FILE.gguf.
    path = os.path.expanduser(options.name)  # noqa: PTH111 - pathlib takes a while to import
    here = path.startswith((os.sep, ".")) or os.path.exists(path)  # noqa: PTH110
    model = _whole_path(path) if here and not options.program else options.name
    wanted = {"model": model, "program": options.program, "name": options.called}
    return fetching.take({name: value for name, value in wanted.items() if value}, Screen())


def _use(options: argparse.Namespace) -> Any:
    return call("POST", "/ingle/models/use", {"model": options.name})


def _verify(options: argparse.Namespace) -> Any:
    from ingle_shell import fetching

    found = fetching.verify(options.name, Screen())
    bad = [model for model in found if not model["ok"]]
    if bad:
        names = ", ".join(model["model"] for model in bad)
        raise NoModel(
            f"damaged: {'; '.join(model['reason'] for model in bad)}",
            hint=f"`ingle model rm NAME` and fetch it again: {names}.",
            models=found,
        )
    return found


def _remove(options: argparse.Namespace) -> Any:
    screen = Screen()
    if not options.yes and screen.interactive and not agrees(f"Remove {options.name}?", screen, otherwise=False):
        raise Interrupted(f"{options.name} stays", hint="--yes removes it without a question.")
    return call("POST", "/ingle/models/remove", {"model": options.name, "force": options.force})


def _whole_path(text: str) -> str:
    """A path as the daemon understands it, which works in another folder; anything else as it is."""
    if "://" in text or text.startswith("hf:") or not (os.sep in text or text.lower().endswith(".gguf")):
        return text
    return os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111 - pathlib takes a while to import
