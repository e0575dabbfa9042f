"""How `--help` and a mistake of the command line read, however wide the terminal is. Imported only with argparse."""

from __future__ import annotations

import argparse
import shutil
import sys
from typing import Any, NoReturn

from ingle_shell.layout import laid_out

__all__ = ["EXIT_CODES", "Parser"]

_NARROW = 60  # columns
_ONE_LINE = 10_000
_OPTIONS_TAKE, _NARROW_OPTIONS_TAKE = 24, 8

EXIT_CODES = """\
exit codes:
  0    done
  1    the answer is not what was asked for, or cannot be written, or nothing was found
  2    usage or configuration
  3    daemon unreachable or busy
  4    no model
  5    does not fit and may not leave
  6    API failed
  7    budget spent
  8    refused by a privacy rule
  130  interrupted"""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Paragraphs and lists keep their lines; one that is too long is broken at spaces. So is a list of options, below
    each other where there is no room beside it."""

    def __init__(self, prog: str) -> None:
        take = _NARROW_OPTIONS_TAKE if shutil.get_terminal_size().columns < _NARROW else _OPTIONS_TAKE
        super().__init__(prog, max_help_position=take)

    def _format_usage(self, *arguments: Any) -> str:
        """argparse stops breaking it where the program's name leaves it little room."""
        width, self._width = self._width, _ONE_LINE
        usage = super()._format_usage(*arguments)
        self._width = width
        return f"{laid_out(usage.rstrip(), width)}\n\n"

    def _split_lines(self, text: str, width: int) -> list[str]:
        return laid_out(text, width, flat=0).splitlines()

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return laid_out(text, width, flat=0, deeper=2)


class Parser(argparse.ArgumentParser):
    """argparse's, with help and mistakes laid out."""

    def __init__(self, *arguments: object, **settings: object) -> None:
        super().__init__(*arguments, **{"formatter_class": _Formatter, **settings})  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        said = f"{self.prog}: error: {message}"
        if sys.stderr and sys.stderr.isatty():
            said = laid_out(said, shutil.get_terminal_size().columns)
        self.exit(2, f"{said}\n")
