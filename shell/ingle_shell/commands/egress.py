"""`ingle ledger`, `consent`, `key` and `route`: what left this machine, what may, with whose key, and what would."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingle_daemon.client import call
from ingle_daemon.errors import UsageError, reason
from ingle_shell.commands.base import Command, add_group, count
from ingle_shell.commands.base import add as _add
from ingle_shell.layout import Verbatim
from ingle_shell.reliability import reliability
from ingle_shell.render import consent_notice, fact_lines, limit_text, plain

if TYPE_CHECKING:
    from ingle_shell.commands.base import Commands

__all__ = ["add"]

_COLUMNS = (
    *("id", "at", "destination", "model", "task", "outcome", "estimate", "charged", "prompt_tokens"),
    *("completion_tokens", "believed", "redactions", "sha256", "bytes", "reason"),
)


def add(commands: Commands) -> None:
    """Declare them."""
    what = "what left this machine, and what it cost"
    ledger = _add(commands, "ledger", what, Command(_ledger, _told_ledger), as_json=True)
    ledger.add_argument("-n", dest="number", type=count, default=20, metavar="N", help="how many receipts (20)")
    ledger.add_argument("--bodies", action="store_true", help="what left too, where [privacy] keep_bodies kept it")
    ledger.add_argument("--export", choices=["csv"], help="every receipt, for a spreadsheet")
    _add_consent(commands)
    _add_keys(commands)
    what = "where a question would run, and how far local answers could be trusted"
    route = _add(commands, "route", what, Command(_route, _told_route), as_json=True)
    which = route.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--dry-run", dest="file", metavar="FILE", help="the question; - is stdin. What would be sent, too"
    )
    which.add_argument("--report", action="store_true", help="confidence and what became of answers, from the journal")
    route.set_defaults(wanted="auto")
    where = route.add_mutually_exclusive_group()
    for name in ("local", "api", "think"):
        where.add_argument(f"--{name}", dest="wanted", action="store_const", const=name, help=f"as `ask --{name}`")


def _add_consent(commands: Commands) -> None:
    parser = commands.add_parser("consent", help="providers that questions may go to")
    consent = add_group(parser)
    _add(consent, "list", "where questions may go", Command(_consents, _told_consents), as_json=True)
    told = Command(_revoke, lambda answer: f"nothing goes to {answer['host']} any more")
    revoke = _add(consent, "revoke", "take consent back", told)
    revoke.add_argument("host", metavar="HOST")


def _add_keys(commands: Commands) -> None:
    parser = commands.add_parser("key", help="keys of API providers, in the system's keyring")
    key = add_group(parser)
    kept = Command(_set_key, lambda answer: f"kept as {answer['name']}")
    put = _add(key, "set", "keep a key, typed or piped in", kept)
    put.add_argument("name", metavar="NAME", help="what `[api] key` calls it")
    what = "which keys the configuration names, and whether they are there"
    _add(key, "list", what, Command(_keys, _told_keys), as_json=True)
    removed = Command(_remove_key, lambda answer: f"removed {answer['name']}")
    remove = _add(key, "rm", "remove a key", removed)
    remove.add_argument("name", metavar="NAME")


# --- commands -----------------------------------------------------------------------------------------------


def _ledger(options: argparse.Namespace) -> Any:
    number = 0 if options.export else options.number
    answer = call("GET", f"/ingle/ledger?n={number}{'&bodies=1' if options.bodies else ''}")
    return {**answer, "export": options.export} if options.export else answer


def _consents(_: argparse.Namespace) -> Any:
    return call("GET", "/ingle/consent")


def _revoke(options: argparse.Namespace) -> Any:
    return call("POST", "/ingle/consent", {"host": options.host, "given": False})


def _keys(_: argparse.Namespace) -> Any:
    return call("GET", "/ingle/keys")


def _set_key(options: argparse.Namespace) -> Any:
    return call("POST", "/ingle/keys/set", {"name": options.name, "key": _key_of(options.name)})


def _key_of(name: str) -> str:
    """The key, which never stands in a command line: every user of the machine could read it there."""
    if sys.stdin is not None and sys.stdin.isatty():
        from getpass import getpass

        key = getpass(f"key for {name}: ")
    else:
        key = sys.stdin.readline() if sys.stdin else ""
    if not key.strip():
        raise UsageError("there is no key", hint=f"Type it, or pipe it: `pass show {name} | ingle key set {name}`.")
    return key.strip()


def _remove_key(options: argparse.Namespace) -> Any:
    return call("POST", "/ingle/keys/remove", {"name": options.name})


def _route(options: argparse.Namespace) -> Any:
    if options.report:
        return call("GET", "/ingle/answers/report")
    try:
        text = sys.stdin.read() if options.file == "-" else Path(options.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"cannot read {options.file}: {reason(exc)}", hint="Give it a file of text.") from exc
    paths = [] if options.file == "-" else [str(Path(options.file).absolute())]
    request = {
        "messages": [{"role": "user", "content": text}],
        "route": options.wanted,
        "root": str(Path.cwd()),
        "paths": paths,
    }
    return call("POST", "/ingle/route", request)


# --- as people read them ------------------------------------------------------------------------------------


def _told_ledger(answer: Mapping[str, Any]) -> Sequence[str]:
    if answer.get("export") == "csv":
        return [Verbatim(_csv(answer["receipts"]))]
    lines = [part for receipt in answer["receipts"] for part in _told_receipt(receipt)]
    lines = lines or ["nothing has left this machine"]
    for window in ("day", "month"):
        limit = answer["budget"][window]
        of = f" of {limit_text(limit)}" if limit is not None else ", no limit"
        lines.append(f"this {window}: ${answer['spent'][window]:.4f}{of}")
    return lines


def _told_receipt(receipt: Mapping[str, Any]) -> list[str]:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(receipt["at"]))
    cost = receipt["charged"] if receipt["charged"] is not None else receipt["estimate"]
    price = "cost unknown" if cost is None else f"${cost:.4f}" + ("" if receipt["believed"] else " (estimate)")
    tokens = f"{receipt['prompt_tokens'] or 0} + {receipt['completion_tokens'] or 0} tokens"
    lines = [
        f"{at}  {plain(receipt['model'])} at {plain(receipt['destination'])}: {receipt['outcome']}, {tokens}, {price}",
        f"  {receipt['bytes']} bytes, hidden: {_counted(receipt['redactions'])}"
        + (f", {plain(receipt['reason'])}" if receipt["reason"] else ""),
        f"  SHA-256 {receipt['sha256']}",
    ]
    return [*lines, *([Verbatim(plain(receipt["body"]))] if receipt.get("body") else [])]


def _counted(redactions: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in redactions.items()) or "nothing"


def _csv(receipts: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for receipt in receipts:
        writer.writerow(json.dumps(receipt[name]) if name == "redactions" else receipt[name] for name in _COLUMNS)
    return text.getvalue().rstrip("\n")


def _told_consents(answer: Mapping[str, Any]) -> str:
    given = [
        f"{plain(one['host'])}  since {time.strftime('%Y-%m-%d', time.localtime(one['at']))}" for one in answer["given"]
    ]
    configured = [f"{plain(host)}  by the configuration" for host in answer["configured"]]
    return "\n".join([*given, *configured]) or "questions may go nowhere"


def _told_keys(answer: Mapping[str, Any]) -> str:
    lines = [
        f"{plain(one['host'])}  {plain(one['from'])}: {'there' if one['there'] else plain(one['problem'])}"
        for one in answer["keys"]
    ]
    return "\n".join(lines) or "the configuration names no provider"


def _told_route(answer: Mapping[str, Any]) -> Sequence[str]:
    if "escalation" in answer:
        return [reliability(answer)]
    route, fit, letter = answer["route"], answer.get("fit"), answer.get("letter")
    lines = [f"{route['kind']}  {plain(route['model'])}: {plain(route['reason'])}", f"rule      {route['rule']}"]
    if fit:
        lines.append(f"tokens    {fit['prompt_tokens']} + {fit['reserved']} for the answer, of {fit['n_ctx']}")
    lines += fact_lines(answer.get("facts", {}))
    if letter:
        price = "unknown" if letter.get("estimate") is None else f"at most ${letter['estimate']:.4f}"
        lines += [
            *([f"consent   {unconsented}"] if (unconsented := consent_notice(answer)) else []),
            f"to        {plain(letter['url'])}",
            f"price     {price}",
            f"hidden    {_counted(letter['redactions'])}",
            f"SHA-256   {letter['sha256']}",
            "body, to the byte:",
            Verbatim(plain(letter["body"])),
        ]
    return lines
