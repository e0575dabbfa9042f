"""What one command printed, found in what a terminal showed."""

from __future__ import annotations

import pytest

from ingle_shell.transcript import in_log, on_marked_screen, on_screen


def test_the_output_of_a_command_is_what_follows_it_on_the_screen() -> None:
    screen = "$ make\nold\n$ make\n\x1b[31mcc: error\x1b[0m\nmake: 2\n$ ask --last\n"
    assert on_screen("make", screen) == "cc: error\nmake: 2"
    assert on_screen("other", screen) == ""


def test_it_ends_at_the_next_prompt() -> None:
    screen = "me@box:~$ make\ncc: error\nme@box:~$ ls\nMakefile\nme@box:~$ ask --last\n"
    assert on_screen("make", screen) == "cc: error"


@pytest.mark.parametrize("other", ["cmake", "ls make", "./make"])
def test_another_command_that_ends_alike_is_another_one(other: str) -> None:
    assert on_screen("make", f"$ make\nright\n$ {other}\nwrong\n$ \n") == "right"
    marked = "\x1b]133;A\x07$ make\n\x1b]133;C\x07right\n\x1b]133;A\x07$ {}\n\x1b]133;C\x07wrong\n"
    assert on_marked_screen("make", marked.format(other)) == "right"


def test_a_prompt_at_the_right_margin_is_no_part_of_the_command() -> None:
    assert on_screen("make", "% make                    12:30\ncc: error\n% \n") == "cc: error"


def test_marks_tell_commands_apart_that_print_nothing() -> None:
    screen = (
        "\x1b]133;A\x1b\\$ make\n\x1b]133;C\x1b\\cc: error\n\x1b]133;A\x1b\\$ false\n\x1b]133;A\x1b\\$ ask --last\n"
    )
    assert on_marked_screen("make", screen) == "cc: error"
    assert on_marked_screen("false", screen) == ""


def begin(mark: str) -> str:
    return f"\x1b]133;C;ingle={mark}\x07"


def end(mark: str, code: int = 1) -> str:
    return f"\x1b]133;D;{code};ingle={mark}\x07"


def test_the_log_has_the_output_of_each_command_by_its_mark() -> None:
    log = f"{begin('7.1')}one\r\n{end('7.1')}{begin('7.2')}two\r\n{end('7.2', 0)}"
    assert [in_log(mark, log) for mark in ("7.1", "7.2", "7.3", "")] == ["one", "two", "", ""]


def test_a_log_that_has_lost_the_beginning_of_a_command_has_its_end() -> None:
    assert in_log("7.1", f"the rest\r\n{end('7.1')}{begin('7.2')}two\r\n{end('7.2')}") == "the rest"


def test_a_command_within_another_shell_is_part_of_what_that_shell_printed() -> None:
    log = f"{begin('7.1')}{begin('8.1')}inner\r\n{end('8.1')}{end('7.1')}"
    assert (in_log("8.1", log), in_log("7.1", log)) == ("inner", "inner")


@pytest.mark.parametrize(
    ("written", "looks"),
    [
        ("\x1b[1;31merror\x1b[0m: no\r\n", "error: no"),
        (" 1%\r 50%\r100%\r\ndone\r\n", "100%\ndone"),
        ("NN\bA\bAM\bME\bE\r\n", "NAME"),
        ("a\r\n\b\bbc\b\b\bd\r\n", "a\nd"),
        ("a" * 60_000 + "\b" * 60_000 + "b\r\n", "b"),  # in no more time than it takes to read
        ("a\x1b]0;title\x07b\r\n", "ab"),
    ],
)
def test_output_is_read_as_it_looks(written: str, looks: str) -> None:
    assert in_log("7.1", begin("7.1") + written + end("7.1")) == looks


def test_of_long_output_the_end_is_read() -> None:
    long = "".join(f"line {number}\r\n" for number in range(10_000))
    output = in_log("7.1", begin("7.1") + long + end("7.1"))
    assert len(output) <= 4000
    assert output.endswith("line 9999")
