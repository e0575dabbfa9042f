"""Fixtures: a browser, and VS Codes in it. Without the toolchain these tests are skipped, and say why."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

import support
from e2e.vscode.editor import CodeServer, Window
from e2e.vscode.toolchain import Toolchain, Unavailable, toolchain

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
OpenCode = Callable[..., CodeServer]

ADD = "(a, b):\n    return a + b"
RULES = [
    {
        "kind": "infill",
        "match": r"def add\Z",
        "answer": ADD,
        "others": ["(x, y):\n    return x + y", "(one, two):\n    return one + two"],
    },
    {"kind": "infill", "match": r"added\Z", "answer": " = added + 1"},
    {"kind": "infill", "match": r"slow =\Z", "answer": " 42", "delay_ms": 1500},
    {"kind": "chat", "match": "Explain what this code does", "answer": "It adds two numbers."},
    {"kind": "chat", "match": "documentation comment", "answer": '```\ndef one():\n    """One."""\n    return 1\n```'},
    {"kind": "chat", "match": "make it two", "answer": "```\n    return 2\n```"},
]


@pytest.fixture(scope="session")
def tools() -> Toolchain:
    try:
        return toolchain()
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def browser(tools: Toolchain) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(tools.browser), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_code(tools: Toolchain) -> Iterator[OpenCode]:
    """Starts a VS Code for an instance; what is given beside it are `CodeServer`'s settings and environment."""
    servers: list[CodeServer] = []

    def open_code(instance: support.Instance, **how: dict[str, object]) -> CodeServer:
        servers.append(CodeServer(tools, instance, **how))  # type: ignore[arg-type]
        return servers[-1]

    yield open_code
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def scripted() -> Iterator[support.Instance]:
    """An instance that completes by script: what, depends on the text before the cursor."""
    instance = support.new_instance()
    instance.script(rules=RULES)
    yield instance
    instance.close()


@pytest.fixture(scope="session")
def code(tools: Toolchain, scripted: support.Instance) -> Iterator[CodeServer]:
    """The VS Code that most tests share: it takes longer to start than they do."""
    server = CodeServer(tools, scripted)
    yield server
    server.close()


@pytest.fixture(scope="session")
def shared_window(code: CodeServer, browser: Browser) -> Iterator[Window]:
    window = code.open(browser)
    yield window
    window.close()


@pytest.fixture
def window(shared_window: Window, request: pytest.FixtureRequest) -> Iterator[Window]:
    """The shared window. What it looked like at the end is kept as a picture."""
    shared_window.reset()
    yield shared_window
    shared_window.picture(request.node.name)
