"""`ask`: one question, one answer.

The request leaves before anything is imported that only its answer needs, and every import until then is
counted in milliseconds (`tests/bench/startup.py`). This module knows what a question is; the daemon knows who
answers it.
"""

from __future__ import annotations

import contextlib
import os
import sys

from ingle_daemon.client import stream
from ingle_daemon.errors import DoesNotFit, IngleError, NoModel, UsageError
from ingle_shell.keeping import keep_of
from ingle_shell.options import Options, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["default_system", "main", "name_for", "question_of", "request_of", "task_of"]

_LARGEST_INPUT = 64 * 1024 * 1024  # bytes; the daemon takes no more by default, and no model's context holds as much


def main() -> int:
    """The `ask` command."""
    options = parse(sys.argv[1:])
    try:
        return _run(options)
    except BrokenPipeError:
        return 0  # whoever reads the answer has read enough
    except (IngleError, KeyboardInterrupt) as error:
        from ingle_shell.screen import settle

        return settle("ask", error, as_json=options.as_json)


def _run(options: Options) -> int:
    if options.variables and options.template is None:
        raise UsageError("-v belongs to a template", hint="Try: ask -t TEMPLATE -v NAME=VALUE")
    if options.suggest:
        from ingle_shell.command.flow import command_for

        return command_for(options, _text(" ".join(options.words)), _context(options))
    if options.rest:
        return _show_rest_of_line()
    if options.ran is not None:
        from ingle_shell.escalation import tell_how_it_ran

        tell_how_it_ran(options.ran)
        return 0
    if options.template == "":
        _list_templates()
    elif options.looks_after:
        from ingle_shell.conversations import look_after

        return look_after(options)
    elif _wants_dialogue(options):
        from ingle_shell.repl import run

        return run(options)
    elif options.dry_run:
        from ingle_shell.dry_run import show_plan

        show_plan(_request(options), as_json=options.as_json)
    else:
        _ask_until_answered(_request(options), options)
    return 0


def _ask_until_answered(request: dict[str, object], options: Options) -> None:
    """The answer; once more when there was no model yet, or when the user lets a question leave or finish here."""
    try:
        _ask(request, options)
    except NoModel as error:
        if error.code != NoModel.code:
            raise
        from ingle_shell.first_run import install_first_model

        install_first_model(error)
        _ask(request, options)
    except IngleError as error:
        from ingle_shell.recovery import another_try

        if (again := another_try(error, request)) is None:
            raise
        _ask(again, options)


def _wants_dialogue(options: Options) -> bool:
    """Nothing is asked, and somebody sits there."""
    asks = options.words or options.files or options.template is not None or options.dry_run or options.failure
    return not asks and sys.stdin is not None and sys.stdin.isatty() and sys.stdout is not None and sys.stdout.isatty()


def question_of(parts: Sequence[str]) -> str:
    """The user's message: what is sent along, then the question. Raises UsageError when all of it is empty."""
    said = [part for part in parts if part.strip()]
    if not said:
        raise UsageError(
            "there is no question",
            hint='Try: ask "how do I list the ten biggest files here?"   or: ask --help',
        )
    return "\n\n".join(said)


def request_of(options: Options, question: str) -> dict[str, object]:
    """The body of the request, an AskRequest (`ingle_daemon.protocol`) without what is left to the daemon."""
    system = "" if options.continues else default_system(code_only=options.extract)
    if options.system is not None:  # a conversation keeps the instructions that it began with
        system = _text(options.system)
    messages = [{"role": "system", "content": system}] if system else []
    request: dict[str, object] = {
        "messages": [*messages, {"role": "user", "content": question}],
        "route": options.route,
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "model": options.model or None,
        "keep": keep_of(options, _text(" ".join(options.words))),
        "root": folder(),
        "id": name_for(options),
        "task": task_of(options),
    }
    return {key: value for key, value in request.items() if value is not None}


def name_for(options: Options) -> str | None:
    """A name for the answer, by which the daemon is told what became of it; none where nothing is kept."""
    return os.urandom(8).hex() if options.log else None


def task_of(options: Options) -> str | None:
    """What `[tasks]` in the configuration may have a rule for: a template by its name, or the failure of a command."""
    return options.template or ("fix" if options.failure else None)


def _request(options: Options) -> dict[str, object]:
    """Everything that the command line, the files it names and standard input say."""
    if options.model and options.route in ("api", "think"):
        message = "-m names a model of this machine, --api and --think ask another"
        raise UsageError(message, hint="Leave one of them out.")
    paths: list[str] = []
    context, words, instruction = _context(options).rstrip(), _text(" ".join(options.words)).strip(), ""
    if options.files or "@" in words:
        from ingle_shell.attachments.collect import collect
        from ingle_shell.screen import Screen

        attached, words = collect(options.files, words, _LARGEST_INPUT, Screen().note)
        paths = [each.path for each in attached if each.path]
        context = "\n\n".join([*(each.labelled for each in attached), *filter(None, [context])])
    if options.failure and not words:
        words = "Why, and what is right?"
    if options.template is not None:
        instruction = _apply_template(options, options.template, has_context=bool(context))
    if options.title and not (context or instruction or words):
        raise UsageError("--title wants a question, or a conversation (-c, --id)", hint="Try: ask --id 7 --title sums")
    request = request_of(options, question_of([context, instruction, words]))
    if paths:
        request["paths"] = paths  # some may be private
    if options.schema:
        from ingle_shell.schema import read_schema

        request["schema"] = read_schema(options.schema)
    return request


def _apply_template(options: Options, name: str, *, has_context: bool) -> str:
    """Take from the template what the command line leaves open; returns its prompt."""
    from ingle_shell.templates import filled, find, variables_of

    template = find(name)
    if template.input and not has_context:
        raise UsageError(f"the template {name} wants something to read", hint=f"Try: {template.input} | ask -t {name}")
    for setting in ("system", "max_tokens", "temperature"):
        if getattr(options, setting) is None:
            setattr(options, setting, getattr(template, setting))
    options.extract = options.extract or template.code
    return filled(name, template, variables_of(options.variables)).strip()


def _show_rest_of_line() -> int:
    from ingle_shell.ghost import rest_of_line

    rest = rest_of_line(os.environ)
    sys.stdout.write(rest)
    return 0 if rest else 1


def _list_templates() -> None:
    from ingle_shell.screen import Screen
    from ingle_shell.templates import listing

    Screen().tell(listing())


def default_system(*, code_only: bool = False) -> str:
    """What the model is told before a question."""
    where = f"You answer questions in a terminal on {os.uname().sysname}. Be brief and exact. "
    if code_only:
        return f"{where}Answer with one code block and nothing else."
    return f"{where}When a command answers the question, give the command first, in a code block."


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Within it Ctrl-C waits. One that breaks into an import may be lost: the import system's own callbacks drop it."""
    import signal

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def folder() -> str | None:
    """Where the question is asked: a workspace may keep what is asked in it on this machine."""
    try:
        here = os.getcwd()  # noqa: PTH109 - its import counts
    except FileNotFoundError:  # somebody removed it
        return None
    return _text(here)


def _text(argument: str) -> str:
    """A command-line argument as text: bytes in it that are no UTF-8 (of a file's name, say) become U+FFFD."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _context(options: Options) -> str:
    """What was piped in; with `--last` behind the command that failed last."""
    if not options.failure:
        return _piped_text()
    from ingle_shell.failure import last_failure

    return f"{last_failure(os.environ)}\n\n{_piped_text()}"


def _piped_text() -> str:
    """What stands on standard input, unless that is the user's keyboard."""
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    try:
        size = os.fstat(sys.stdin.fileno()).st_size  # of a pipe it is 0
        data = sys.stdin.buffer.read(_LARGEST_INPUT + 1) if size <= _LARGEST_INPUT else b""
    except OSError as exc:
        raise UsageError(f"cannot read standard input: {exc.strerror}", hint="Give it a file or a pipe.") from exc
    if max(size, len(data)) > _LARGEST_INPUT:
        count = f"{size:,}" if size else f"more than {_LARGEST_INPUT:,}"
        raise DoesNotFit(
            f"standard input has {count} bytes; {_LARGEST_INPUT:,} are taken, and no model can read as much",
            hint="Send the part that the question is about.",
            n_bytes=size or len(data),
            limit_bytes=_LARGEST_INPUT,
        )
    if b"\0" in data:
        raise UsageError("standard input is not text", hint="Send text, in UTF-8.")
    return data.decode("utf-8", "replace")


def _ask(request: dict[str, object], options: Options) -> None:
    with stream("/ingle/ask", request) as events:  # the request is on the wire; now there is time for imports
        with _undisturbed():
            from ingle_shell.answer import show
            from ingle_shell.screen import Screen

        verbatim = options.as_json or options.extract or bool(options.schema)
        screen = Screen(markdown=not verbatim)
        shown = show(
            events,
            screen,
            as_json=options.as_json,
            code_only=options.extract,
            complete=bool(options.schema),
            why=options.why,
        )
    if shown.taken_early or (shown.judgement and shown.judgement.offer):
        from ingle_shell.escalation import afterwards

        if again := afterwards(request, shown, asks=not options.as_json):
            _ask(again, options)
