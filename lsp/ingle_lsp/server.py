"""`ingle-lsp`: the process. An editor starts it, speaks LSP with it over stdin and stdout, and ends it.

The imports stand inside, so that `--version` is quick and that LSP's types are imported the lean way.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from ingle_daemon import __version__

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Serve one editor until it leaves."""
    parser = argparse.ArgumentParser(
        prog="ingle-lsp",
        description="Inline completion from your own model, for editors that speak LSP.",
    )
    parser.add_argument("--stdio", action="store_true", help="speak over stdin and stdout (the default)")
    parser.add_argument("--version", action="version", version=f"ingle-lsp {__version__}")
    parser.parse_args(argv)
    # Below WARNING, pygls writes whole messages, and with them the user's code.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")

    from ingle_lsp.quirks import lean_attrs

    with lean_attrs():
        import lsprotocol.types  # noqa: F401 - here and nowhere earlier
    from ingle_lsp.language_server import create

    create().start_io()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
