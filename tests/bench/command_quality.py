"""How good the commands of `ask -s` are: 40 everyday wishes, checked by running what was suggested in a sandbox.

Suggestion and reference each run in a fresh copy of one scratch folder, in a container without network in which only
that folder can be written (bubblewrap); what they leave there and what they print is compared. The options take a part
of the prompt away, to see what it gains. INGLE_MODEL names the GGUF to measure; without it, the starter.

    python tests/bench/command_quality.py [--json] [--wrong] [--no-examples | --any-examples] [--no-second-try]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import tomli

sys.path.insert(0, str(Path(__file__).parents[1]))

import support
from bench.report import show
from ingle_daemon.errors import IngleError
from ingle_shell.command import suggestion as words
from ingle_shell.command.flow import suggest
from ingle_shell.command.shells import Shell, users_shell
from ingle_shell.command.verify import Checked, check

TASKS = Path(__file__).with_name("ask_quality") / "commands.toml"
FILES = {
    "notes.txt": "a foo here\nb bar there\nTODO write more\nthe foo and foo\nlast line\n",
    "names.txt": "zoe\nadam\nmia\nadam\nben\n",
    "numbers.txt": "10\n9\n100\n2\n",
    "data.csv": "id,name\n1,adam\n2,zoe\n",
    "app.log": "start\nError: disk\nok\nerror: net\n",
    "run.sh": "#!/bin/sh\necho ran\n",
    ".hidden": "",
    "src/main.py": "print(1)  # TODO\n",
    "src/util.py": "x = 1\n",
}


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ask: str
    right: str


class Effect(NamedTuple):
    """What a command left behind: the words of its output, and every file."""

    output: list[list[str]]
    files: dict[str, tuple[str, int]]


class Result(NamedTuple):
    task: Task
    checked: Checked
    right: bool
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Score the commands of `ask -s`.")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--wrong", action="store_true", help="print the commands that are wrong, too")
    parser.add_argument("--no-examples", action="store_true", help="without the examples in the prompt")
    parser.add_argument("--any-examples", action="store_true", help="with four examples that are always the same")
    parser.add_argument("--no-second-try", action="store_true", help="without asking again after failed checks")
    options = parser.parse_args()
    if not shutil.which("bwrap"):
        sys.exit("this needs bubblewrap (`bwrap`): suggestions are run, and only in a sandbox")

    model = os.environ.get("INGLE_MODEL") or str(support.starter_model())
    tasks = msgspec.convert(tomli.loads(TASKS.read_text(encoding="utf-8"))["task"], tuple[Task, ...])
    shell = users_shell("bash", {})
    instance = support.new_instance(INGLE_MODEL=model)
    try:
        results = [measured(instance, shell, task, options) for task in tasks]
    finally:
        instance.close()
    row = {
        "wishes": len(results),
        "parsed": sum(result.checked.runnable for result in results),
        "stands its checks": sum(result.checked.runnable and not result.checked.complaints for result in results),
        "right": sum(result.right for result in results),
        "seconds, median": round(sorted(result.seconds for result in results)[len(results) // 2], 2),
    }
    wrong = [f"{result.task.ask}: {result.checked.command!r}" for result in results if not result.right]
    title = f"ask -s: everyday wishes, {Path(model).stem}"
    show(title, [row], as_json=options.as_json, remarks=wrong if options.wrong else ())


def measured(instance: support.Instance, shell: Shell, task: Task, options: argparse.Namespace) -> Result:
    def ask(messages: list[words.Message]) -> str:
        body = {"messages": messages, "route": "local", "temperature": 0.0, "repeat_penalty": 1.0, "max_tokens": 100}
        return "".join(event.get("text", "") for event in instance.stream("/ingle/ask", body))

    begin = time.monotonic()
    messages = words.request(task.ask, shell.name, "Debian GNU/Linux")
    if options.no_examples:
        messages = [messages[0], messages[-1]]
    if options.any_examples:
        messages = [*words.request("", shell.name, "Debian GNU/Linux")[:-1], messages[-1]]
    try:
        if options.no_second_try:
            checked = check(words.parse(ask(messages), shell.name).command, shell, {})
        else:
            _, checked = suggest(ask, shell, messages)
    except IngleError:
        checked = check("", shell, {})
    seconds = time.monotonic() - begin
    right = bool(checked.command) and effect(checked.command) == effect(task.right)
    return Result(task, checked, right, seconds)


def effect(command: str) -> Effect:
    """What the command does in a fresh scratch folder, where it can do nothing else."""
    with tempfile.TemporaryDirectory(prefix="ingle-bench-") as folder:
        scratch = Path(folder)
        for name, text in FILES.items():
            (scratch / name).parent.mkdir(exist_ok=True)
            (scratch / name).write_text(text)
        output = contained(command, scratch)
        lines = sorted(re.split(r"[\s]+", line.strip().removeprefix("./")) for line in output.splitlines())
        return Effect(lines, dict(sorted((str(p.relative_to(scratch)), kept(p)) for p in scratch.rglob("*"))))


def contained(command: str, scratch: Path) -> str:
    jail = [
        "bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        "--setenv",
        "PATH",
        "/usr/bin:/bin",
    ]
    for folder in ("/usr", "/bin", "/lib", "/lib64"):
        jail += ["--ro-bind-try", folder, folder]
    jail += [
        "--tmpfs",
        "/tmp",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--bind",
        str(scratch),
        "/scratch",
        "--chdir",
        "/scratch",
    ]
    try:
        done = subprocess.run(
            [*jail, "bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False
        )
    except subprocess.TimeoutExpired:
        return "took too long"
    return done.stdout[:100_000].decode("utf-8", "replace")


def kept(path: Path) -> tuple[str, int]:
    """A file's content (of an archive, that there is one) and whether it can be executed."""
    if path.is_symlink():
        return str(path.readlink()).rstrip("/"), 0
    if path.is_dir():
        return "", 0
    content = "archive" if path.suffix == ".gz" and path.stat().st_size else path.read_text(errors="replace")
    return content, path.stat().st_mode & 0o100


if __name__ == "__main__":
    main()
