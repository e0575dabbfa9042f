"""What a question brings along, as the daemon gets it. The daemon is real, and repeats the question."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_daemon.errors import RefusedByPrivacy
from ingle_shell.attachments import web
from ingle_shell.attachments.apart import Unreadable, parts
from ingle_shell.attachments.attachment import Attachment, taken_apart
from support import Instance


@pytest.fixture
def roomy(instance: Instance) -> Instance:
    instance.script(context=1_000_000)
    return instance


def asked(instance: Instance, *arguments: str, piped: str | None = None) -> str:
    done = instance.run("ask", *arguments, input=piped)
    assert done.returncode == 0, done.stderr
    return done.stdout.removeprefix("You said: ")


def write(instance: Instance, name: str, content: str | bytes) -> Path:
    path = instance.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_file_comes_with_its_name_before_the_question(roomy: Instance) -> None:
    write(roomy, "a.py", "x = 1\n")
    assert asked(roomy, "-f", "a.py", "why?", piped="piped\n") == "a.py:\n```py\nx = 1\n```\n\npiped\n\nwhy?\n"


def test_a_file_named_in_the_question_is_sent_too(roomy: Instance) -> None:
    write(roomy, "src/a.py", "\n".join(f"line {number}" for number in range(1, 60)))
    text = asked(roomy, "compare @src/a.py:10-12, and @src/a.py:59.")
    assert text == (
        "src/a.py:10-12:\n```py\nline 10\nline 11\nline 12\n```\n\nsrc/a.py:59:\n```py\nline 59\n```\n\n"
        "compare src/a.py:10-12, and src/a.py:59.\n"
    )


@pytest.mark.parametrize(("source", "said"), [("a.py:7-9", "it has 3 lines"), ("a.py:3-2", "it has 3 lines")])
def test_lines_that_are_not_there_are_refused(roomy: Instance, source: str, said: str) -> None:
    write(roomy, "a.py", "1\n2\n3\n")
    done = roomy.run("ask", "-f", source, "why?")
    assert done.returncode == 2
    assert said in done.stderr


def test_a_symbol_named_in_the_question_is_looked_up_in_the_workspace(roomy: Instance) -> None:
    write(roomy, "work/.git/HEAD", "")
    write(roomy, "work/pkg/parse.py", "import re\n\n\ndef parse(text):\n    return text\n")
    done = roomy.run("/bin/sh", "-c", "mkdir -p work/sub; cd work/sub && ask 'what does @parse do?'")
    assert done.stdout.endswith(
        f"{roomy.root.resolve()}/work/pkg/parse.py:4 (parse):\n```py\ndef parse(text):\n    return text\n```\n\n"
        "what does parse do?\n"
    )


def test_an_at_sign_that_names_nothing_stays_and_is_told(roomy: Instance) -> None:
    done = roomy.run("ask", "mail me@example.org about @types/node")
    assert done.stdout == "You said: mail me@example.org about @types/node\n"
    assert "@types/node is no file here" in done.stderr


def test_a_folder_is_sent_without_what_git_ignores_without_secrets_and_without_binaries(roomy: Instance) -> None:
    write(roomy, "p/.git/HEAD", "")
    write(roomy, "p/.gitignore", "out/\n")
    for name in ("a.py", "sub/b.py", "out/c.py", ".env", "id_rsa"):
        write(roomy, f"p/{name}", f"this is {name}\n")
    write(roomy, "p/logo.png", b"\x89PNG\0")
    done = roomy.run("ask", "-f", "p/", "-f", "p/*.py", "why?")
    assert [line for line in done.stdout.splitlines() if line.startswith("this")] == [
        "this is a.py",
        "this is sub/b.py",
    ]
    assert "p/: left out p/logo.png: not text" in done.stderr


def test_a_pattern_takes_no_secret_and_says_so_but_a_name_does(roomy: Instance) -> None:
    write(roomy, "p/key.pem", "secret")
    write(roomy, "p/.env", "secret")
    write(roomy, "p/a.txt", "open")
    done = roomy.run("ask", "-f", "p/*", "why?")
    assert "secret" not in done.stdout
    assert "left out p/key.pem" in done.stderr
    assert "secret" in asked(roomy, "-f", "p/key.pem", "why?")
    assert "secret" in asked(roomy, "what is in @p/.env?")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("none.py", "there is no file none.py"),
        ("*.nope", "no file matches *.nope"),
        ("a.bin", "a.bin is not text"),
        ("many", "many has 201 files, more than 200"),
        ("bad.pdf", "bad.pdf cannot be read as a PDF"),
        ("bad.ipynb", "bad.ipynb is not a notebook"),
        ("deep.ipynb", "deep.ipynb is not a notebook"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(roomy: Instance, source: str, said: str) -> None:
    write(roomy, "a.bin", b"\x7fELF\0")
    write(roomy, "bad.pdf", b"%PDF-1.7 nothing")
    write(roomy, "bad.ipynb", "{}")
    write(roomy, "deep.ipynb", '{"cells": [{"cell_type": "code", "outputs": [{"data": {"a": ' + "[" * 100_000)
    for number in range(201):
        write(roomy, f"many/{number}.txt", "x")
    done = roomy.run("ask", "-f", source, "why?")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_notebook_is_read_as_its_cells_and_their_output(roomy: Instance) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "text"]},
        {
            "cell_type": "code",
            "source": "1 / 0",
            "outputs": [
                {"output_type": "stream", "text": ["so\n"]},
                {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "division by zero"},
                {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo="}},
            ],
        },
    ]
    write(roomy, "n.ipynb", json.dumps({"cells": cells, "nbformat": 4}))
    text = asked(roomy, "-f", "n.ipynb", "why?")
    for part in ("[1: markdown]\n# Title\ntext", "[2: code]\n1 / 0", "ZeroDivisionError: division by zero"):
        assert part in text
    assert "[image/png: not shown]" in text
    assert "iVBOR" not in text


def test_a_pdf_is_read_page_by_page(roomy: Instance) -> None:
    write(roomy, "two.pdf", pdf("Hello first", "Hello second"))
    for name in ("pypdf.py", "json.py", "msgspec.py"):
        write(roomy, name, b"raise SystemExit('whoever wrote this folder ran')")
    text = asked(roomy, "-f", "two.pdf", "why?")
    assert "[page 1]\nHello first" in text
    assert "[page 2]\nHello second" in text


def test_a_pdf_that_keeps_its_reader_busy_is_given_up() -> None:
    with pytest.raises(Unreadable, match="it takes more than 1 s"):
        parts("pdf", pdf(*["word " * 50] * 20_000), seconds=1)


def test_a_page_that_keeps_its_reader_busy_is_given_up() -> None:
    with pytest.raises(Unreadable, match="it takes more than 1 s"):
        parts("html", b"<b>" * 2_700_000, seconds=1)


def pdf(*texts: str) -> bytes:
    """A PDF with one line of text on each page."""
    first = 4
    kids = " ".join(f"{first + 2 * page} 0 R" for page in range(len(texts)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(texts)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for page, text in enumerate(texts):
        content = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents {first + 2 * page + 1} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    body, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, each in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{each}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    tail = (
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer << /Size {len(objects) + 1} /Root 1 0 R >>\n"
    )
    return bytes(body) + f"{tail}startxref\n{len(body)}\n%%EOF".encode()


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        pages = {
            "/page": (
                "text/html",
                b"<html><script>evil()</script><h1>Title</h1><p>Body &amp; <code>x</code></p></html>",
            ),
            "/large": ("text/plain", b"x" * (9 * 1024 * 1024)),
            "/image": ("image/png", b"\x89PNG"),
            "/nested": ("text/html", 20_000 * b"<div>" + b"x"),
        }
        if self.path not in pages:
            self.send_error(404)
            return
        kind, body = pages[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_web_page_is_reduced_to_its_text(roomy: Instance, site: str) -> None:
    text = asked(roomy, "-f", f"{site}/page", "why?")
    assert f"{site}/page:\n```\n# Title\n\nBody & `x`\n```" in text
    assert "evil" not in text


@pytest.mark.parametrize(
    ("page", "code", "said"),
    [("large", 5, "8,388,608"), ("image", 2, "image/png"), ("nested", 2, "nested too deeply"), ("no", 2, "404")],
)
def test_a_page_that_cannot_be_sent_is_refused(roomy: Instance, site: str, page: str, code: int, said: str) -> None:
    done = roomy.run("ask", "-f", f"{site}/{page}", "why?")
    assert done.returncode == code
    assert said in done.stderr


@pytest.mark.parametrize("target", ["localhost", "127.0.0.1", "192.168.1.1", "169.254.169.254", "both"])
def test_a_page_outside_leads_nowhere_inside(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    names = {"outside": ["93.184.216.34"], "both": ["93.184.216.34", "10.0.0.1"], "localhost": ["127.0.0.1", "::1"]}

    def resolve(host: str, *_: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (address, 0)) for address in names.get(host, [host])]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    request = httpx2.Request("GET", f"http://{target}/latest/meta-data")
    with pytest.raises(RefusedByPrivacy, match=f"leads into this machine or its network, to {target}"):
        web._not_inside("outside")(request)
    web._not_inside("outside")(httpx2.Request("GET", "http://93.184.216.35/page"))
    web._not_inside("127.0.0.1")(request)


def test_a_name_that_led_inside_only_when_the_connection_was_made_is_not_read(
    monkeypatch: pytest.MonkeyPatch, site: str
) -> None:
    """DNS rebinding: the name is outside when it is checked, and this machine when it is connected to."""
    resolve = socket.getaddrinfo

    def rebound(host: object, port: object, *rest: Any, **more: Any) -> list[Any]:
        if port is None:
            return [(0, 0, 0, "", ("93.184.216.34", 0))]
        return resolve("127.0.0.1", port, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    monkeypatch.setattr(web, "call", lambda *_: {})
    with pytest.raises(RefusedByPrivacy, match=r"outside\.example leads into this machine or its network, to 127"):
        web.fetch(f"http://outside.example:{httpx2.URL(site).port}/page")


def test_a_symbol_is_not_looked_for_in_a_folder_that_is_gone(roomy: Instance) -> None:
    done = roomy.run("/bin/sh", "-c", "mkdir gone; cd gone; rmdir ../gone; ask 'what does @parse do?'")
    assert done.stdout == "You said: what does @parse do?\n"


def test_offline_no_page_is_fetched(instance: Instance, site: str) -> None:
    instance.configure("offline = true\n")
    done = instance.run("ask", "-f", f"{site}/page", "why?")
    assert done.returncode == 8
    assert "offline" in done.stderr


def test_attachments_are_counted_and_never_cut(instance: Instance) -> None:
    write(instance, "big.txt", "word " * 4000)
    done = instance.run("ask", "-f", "big.txt")
    assert (done.returncode, done.stdout) == (5, "")
    assert "8,0" in done.stderr  # two thousand words and as many spaces, and the rest


def test_the_output_of_a_process_can_be_attached(roomy: Instance) -> None:
    done = roomy.run("bash", "-c", "ask -f <(echo hello) why?")
    assert "```\nhello\n```" in done.stdout


def test_200_megabytes_are_refused_with_the_numbers_within_a_second(instance: Instance) -> None:
    instance.start()
    write(instance, "huge.txt", b"x" * 200_000_000)
    for line, said in (("ask why < huge.txt", "200,000,000"), ("cat huge.txt | ask why", "more than 67,108,864")):
        assert min(seconds_until_refused(instance, line, said) for _ in range(5)) < 1  # others may use the machine


def seconds_until_refused(instance: Instance, line: str, said: str) -> float:
    begin = time.monotonic()
    done = instance.run("/bin/sh", "-c", line)
    spent = time.monotonic() - begin
    assert (done.returncode, done.stdout) == (5, "")
    assert said in done.stderr
    return spent


def test_no_text_can_close_the_fence_around_it() -> None:
    text = Attachment("a.md", "```\ncode\n````\n").labelled
    assert text.startswith("a.md:\n`````md\n")
    assert text.endswith("\n`````")


@pytest.mark.parametrize(("folder", "name"), [("a:b", "x.pem"), ("x:", "/k.pem"), ("sub", "l:1.pem")])
def test_a_file_of_secrets_stays_here_whatever_its_path_looks_like(roomy: Instance, folder: str, name: str) -> None:
    write(roomy, f"{folder}/{name}", "the key")
    roomy.configure('[api]\nurl = "http://127.0.0.1:9/v1"\nmodel = "far"\nallow = true\n')
    done = roomy.run("ask", "--api", "-f", f"{folder}/{name}", "why?")
    assert done.returncode == 8, done.stderr
    assert "is a file of secrets" in done.stderr


_NAMES = st.sampled_from(["a.py:1-2", "b", "http://c/d.md?e"])


@given(st.lists(st.builds(Attachment, _NAMES, st.text("`a\n:", max_size=9))))
def test_a_message_is_taken_apart_again(attached: list[Attachment]) -> None:
    labelled = [each.labelled for each in attached]
    parts, question = taken_apart("\n\n".join([*labelled, "what?"]))
    assert ([each.labelled for each in parts], question) == (labelled, "what?")


def test_a_question_that_brings_nothing_along_is_all_question() -> None:
    for message in ("what?", "a:\n```\nb\n```", "see:\n```\nnever closed", ""):
        attached, question = taken_apart(message)
        assert "\n\n".join([*(each.labelled for each in attached), question]).strip() == message
