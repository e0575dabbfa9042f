"""Markdown on a terminal while it streams: on the screen of a real tmux, and byte by byte on a pty."""

from __future__ import annotations

import os
import re
import shlex

import pexpect
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingle_shell.markdown import LiveMarkdown
from shell.conftest import Spawn
from shell.tmux import Tmux, tmux
from support import Instance

ANSWER = """# Files

Use `du` with **sort** to list the *ten biggest* files, and write <div> where you mean it; this is long enough to wrap.

```sh
du -ah . | sort -rh | head  # a comment that makes this line longer than forty columns
```

1. one
2. two
   - inner

| flag | what |
|---|---|
| `-a` | all |

The end."""

ON_80 = """Files

Use du with sort to list the ten biggest files, and write <div> where you mean
it; this is long enough to wrap.

du -ah . | sort -rh | head  # a comment that makes this line longer than forty c
olumns

 1 one
 2 two
    • inner

 flag  what
 ────────────
 -a    all

The end."""

ON_40 = """Files

Use du with sort to list the ten biggest
files, and write <div> where you mean
it; this is long enough to wrap.

du -ah . | sort -rh | head  # a comment
that makes this line longer than forty c
olumns

 1 one
 2 two
    • inner

 flag  what
 ────────────
 -a    all

The end."""


def answer_with(instance: Instance, answer: str, *, token_delay_ms: float = 2) -> None:
    instance.script(
        context=100_000, token_delay_ms=token_delay_ms, rules=[{"kind": "chat", "match": "", "answer": answer}]
    )


def ended(lines: list[str]) -> bool:
    return bool(lines) and "tokens/s" in "".join(lines[-2:])


def shown(screen: Tmux) -> list[str]:
    """The answer as it stands once it is complete, without the status."""
    lines = screen.wait(ended)
    return lines[: next(at for at, line in enumerate(lines) if line.startswith("scripted"))]


@pytest.mark.parametrize(("columns", "expected"), [(80, ON_80), (40, ON_40)])
def test_the_screen_after_streaming(instance: Instance, columns: int, expected: str) -> None:
    answer_with(instance, ANSWER)
    with tmux(instance, "ask go", columns=columns, lines=30) as screen:
        assert [re.sub("[─━-]{5,}", "─" * 12, line) for line in shown(screen)] == expected.splitlines()


def test_a_screen_that_is_too_small_scrolls_and_no_line_is_lost_or_twice(instance: Instance) -> None:
    answer_with(instance, ANSWER)
    with tmux(instance, "ask go", columns=40, lines=5) as screen:
        assert [re.sub("[─━-]{5,}", "─" * 12, line) for line in shown(screen)] == ON_40.splitlines()


def test_a_code_block_longer_than_the_screen_scrolls(instance: Instance) -> None:
    code = [f"print({number})  # line {number}" for number in range(200)]
    answer_with(instance, "\n".join(["So:", "```python", *code, "```", "done"]), token_delay_ms=0.2)
    with tmux(instance, "ask --max-tokens 9000 go", lines=10) as screen:
        assert shown(screen) == ["So:", "", *code, "", "done"]


def test_a_paragraph_longer_than_the_screen_is_whole(instance: Instance) -> None:
    words = " ".join(f"word{number:03}" for number in range(300))
    answer_with(instance, words, token_delay_ms=0.2)
    with tmux(instance, "ask go", columns=40, lines=8) as screen:
        assert " ".join(shown(screen)) == words


@pytest.mark.parametrize(("columns", "lines"), [(40, 24), (120, 24), (80, 8)])
def test_a_resize_in_the_middle_loses_nothing(instance: Instance, columns: int, lines: int) -> None:
    words = [f"word{number:03}" for number in range(120)]
    code = [f"x{number} = {number}" for number in range(12)]
    answer_with(instance, "\n".join([" ".join(words), "", "```py", *code, "```", "", "done"]), token_delay_ms=5)
    with tmux(instance, "ask go") as screen:
        screen.wait(lambda text: "word060" in " ".join(text))
        screen.resize(columns, lines)
        text = shown(screen)
        assert " ".join(" ".join(text[: text.index("x0 = 0")]).split()) == " ".join(words)
        assert [line for line in text if line][-13:] == [*code, "done"]


def test_without_colours_there_are_none_but_the_layout_stays(instance: Instance, spawn: Spawn) -> None:
    answer_with(instance, "# Title\n\nsome **bold** `code`\n\n```py\nimport os\n```\n")
    output = output_of(spawn, "ask go 2>/dev/null", NO_COLOR="1")
    assert "Title" in output
    assert not re.search(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", output)


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_move_its_cursor_gets_the_text_as_it_is(
    instance: Instance, spawn: Spawn, term: str
) -> None:
    answer_with(instance, "# Title\n\n**bold**\n")
    assert output_of(spawn, "ask go 2>/dev/null", TERM=term) == "# Title\n\n**bold**\n"


def test_a_pipe_gets_the_text_as_it_is(instance: Instance, spawn: Spawn) -> None:
    answer_with(instance, "# Title\n\n**bold**")
    assert output_of(spawn, "ask go 2>/dev/null | cat") == "# Title\n\n**bold**\n"


HOSTILE = [
    "\x1b]0;owned\x07",
    "\x1b]52;c;cm0gLXJmIC8=\x1b\\",
    "\x1b[2J\x1b[H",
    "\x9b2J",
    "&#27;[2J",
    "&#x1b;]52;c;cm0=&#7;",
    "[link](\x1b]0;x\x07)",
    "[link](<&#27;]0;x&#7;>)",
    "![picture](http://x/\x1b[5i)",
    "```\x1b]0;x\x07\n\x1b[31mred\n```",
    "\x1bP1$r\x1b\\",
    "[red]console markup[/red]",
    "\u202egnp.exe",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_answer_sends_the_terminal_nothing_but_colours_and_cursor_moves(
    instance: Instance, spawn: Spawn, hostile: str
) -> None:
    menu = "\n\n[1] run  [2] abort\n> rm -rf /"
    answer_with(instance, f"before {hostile} after{menu}\n\n- {hostile}\n\n| a |\n|---|\n| {hostile} |\n")
    output = output_of(spawn, f"ask {shlex.quote('go')} 2>/dev/null")
    assert "before" in output
    assert harmless(output)


def output_of(spawn: Spawn, line: str, **variables: str) -> str:
    child = spawn(line, columns=80, **variables)
    child.expect(pexpect.EOF)
    return str(child.before).replace("\r\n", "\n")


def harmless(output: str) -> bool:
    """No control character but newlines, returns and what moves up, erases a line, or changes colours."""
    rest = re.sub(r"\x1b\[(?:\d+A|[JK]|[\d;]*m)", "", output)
    return not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", rest)


markdown_text = st.text(alphabet=st.sampled_from("ab *_`#->|[]()1.\n\x1b\x9b&27;~"), max_size=60)


@settings(max_examples=60, deadline=None)
@given(st.lists(markdown_text, max_size=6))
def test_whatever_is_written_and_however_it_is_cut_is_harmless(pieces: list[str]) -> None:
    sent: list[str] = []
    live = LiveMarkdown(sent.append, lambda: os.terminal_size((20, 5)), clock=lambda: 0.0)
    for piece in pieces:
        live.feed(piece)
    live.finish()
    assert harmless("".join(sent))


def test_typing_on_sends_only_what_is_new() -> None:
    sent: list[str] = []
    live = LiveMarkdown(sent.append, lambda: os.terminal_size((80, 24)), clock=lambda: 0.0)
    for piece in ("one", " two", " three"):
        live.feed(piece)
    assert "".join(sent) == "one two three"
