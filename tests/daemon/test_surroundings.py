"""Context out of a real workspace's index: there at the first completion, renewed without a keystroke paying for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingle_daemon import surroundings as surroundings_module
from ingle_daemon.backends.scripted import Script, ScriptedBackend
from ingle_daemon.protocol import CompletionRequest, ContextPiece, GenerateRequest, InfillPrompt
from ingle_daemon.surroundings import Surroundings
from ingle_daemon.workspace.workspaces import Workspaces

PRICE = '''class Price:
    """What a thing costs."""

    def rounded(self):
        return self
'''


class Noting(ScriptedBackend):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(Script())
        self.asked: list[GenerateRequest] = []

    def generate(self, request: GenerateRequest):  # type: ignore[no-untyped-def]
        self.asked.append(request)
        return super().generate(request)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be busy; what is tested is not how fast it answers."""
    monkeypatch.setattr(surroundings_module, "_PATIENCE", 60.0)


@pytest.fixture
async def workspaces(tmp_path: Path) -> AsyncIterator[Workspaces]:
    (tmp_path / "code").mkdir()
    (tmp_path / "indexes").mkdir(mode=0o700)
    made = Workspaces(tmp_path / "indexes")
    yield made
    await made.close()


def request(root: Path, prefix: str) -> CompletionRequest:
    return CompletionRequest("1", prefix, "\n", "main.py", root=str(root))


async def test_definitions_of_what_is_named_are_context(tmp_path: Path, workspaces: Workspaces) -> None:
    root = tmp_path / "code"
    (root / "price.py").write_text(PRICE)
    await workspaces.open(str(root))
    await workspaces.wait(str(root), lambda report: report.state == "ready")
    surroundings = Surroundings(Noting(), workspaces)
    found = await surroundings.of(request(root, "p = Price("))
    assert [(piece.filename, piece.source) for piece in found][-1:] == [("price.py", "definition")]
    assert "class Price" in found[-1].text


async def test_new_context_is_evaluated_before_it_is_used(tmp_path: Path, workspaces: Workspaces) -> None:
    root, now = tmp_path / "code", [0.0]
    (root / "price.py").write_text(PRICE)
    await workspaces.open(str(root))
    await workspaces.wait(str(root), lambda report: report.state == "ready")
    backend = Noting()
    surroundings = Surroundings(backend, workspaces, clock=lambda: now[0])
    assert await surroundings.of(request(root, "nothing_here = ")) == ()
    later = request(root, "p = Price(")
    surroundings.look_again(later)  # a moment ago is not long enough ago
    assert backend.asked == []
    now[0] = 60.0
    surroundings.look_again(later)
    assert surroundings._task
    await surroundings._task
    (warm_up,) = backend.asked
    assert (warm_up.priority, warm_up.limits.max_tokens) == ("warm-up", 0)
    assert isinstance(warm_up.prompt, InfillPrompt)
    assert await surroundings.of(later) == warm_up.prompt.extra
    await surroundings.close()


async def test_a_document_outside_of_any_folder_has_none(workspaces: Workspaces) -> None:
    surroundings = Surroundings(Noting(), workspaces)
    assert await surroundings.of(CompletionRequest("1", "x", root="")) == ()
    assert await surroundings.of(CompletionRequest("1", "x", root="/")) == ()


def sent(root: Path, *pieces: ContextPiece, prefix: str = "x = ") -> CompletionRequest:
    return CompletionRequest("1", prefix, "\n", "main.py", root=str(root), context=pieces)


async def test_what_an_editor_sends_is_held_to_the_workspaces_rules(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("built/\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/.ingleignore").write_text("*\n")
    names = ("open.py", ".env", "keys/id_rsa", "built/out.py", "mine/diary.py", "main.py")
    pieces = [ContextPiece(f"text of {name}", name, "visited") for name in names]
    found = await Surroundings(Noting(), None).of(sent(tmp_path, *pieces))
    assert [piece.filename for piece in found] == ["open.py", "main.py"]


async def test_of_a_private_workspace_nothing_is_sent_along(tmp_path: Path) -> None:
    (tmp_path / ".ingleignore").write_text("/\n")
    piece = ContextPiece("text of one", "one.py", "edited")
    assert await Surroundings(Noting(), None).of(sent(tmp_path, piece)) == ()


async def test_what_an_editor_says_anew_waits_for_a_pause_and_is_evaluated_first(tmp_path: Path) -> None:
    one, two = (ContextPiece(f"text of {name}", f"{name}.py", "edited") for name in ("one", "two"))
    now, backend = [0.0], Noting()
    surroundings = Surroundings(backend, None, clock=lambda: now[0])
    assert await surroundings.of(sent(tmp_path, one)) == (one,)
    later = sent(tmp_path, one, two)
    for now[0] in (0.1, 10.0, 19.0):
        surroundings.look_again(later)
        assert await surroundings.of(later) == (one,)
    now[0] = 21.0
    surroundings.look_again(later)
    assert surroundings._task
    await surroundings._task
    assert [(asked.priority, asked.prompt) for asked in backend.asked] == [
        ("warm-up", InfillPrompt("x = ", "\n", (one, two), "main.py"))
    ]
    assert await surroundings.of(later) == (one, two)


async def test_while_saving_nothing_is_evaluated_ahead(tmp_path: Path) -> None:
    one, two = (ContextPiece(f"text of {name}", f"{name}.py", "edited") for name in ("one", "two"))
    now, saving, backend = [0.0], [True], Noting()
    surroundings = Surroundings(backend, None, clock=lambda: now[0], saving=lambda: saving[0])
    assert await surroundings.of(sent(tmp_path, one)) == (one,)
    later, now[0] = sent(tmp_path, one, two), 60.0
    surroundings.look_again(later)
    idle = surroundings._task
    saving[0] = False
    surroundings.look_again(later)
    assert idle is None
    assert surroundings._task
    await surroundings._task
    assert await surroundings.of(later) == (one, two)


async def test_a_source_that_is_switched_off_goes(tmp_path: Path) -> None:
    one, two = ContextPiece("text of one", "one.py", "edited"), ContextPiece("text of two", "two.py", "visited")
    now = [0.0]
    surroundings = Surroundings(Noting(), None, clock=lambda: now[0])
    await surroundings.of(sent(tmp_path, one, two))
    now[0] = 21.0
    surroundings.look_again(sent(tmp_path, two))
    assert surroundings._task
    await surroundings._task
    assert await surroundings.of(sent(tmp_path, two)) == (two,)
    assert await surroundings.of(sent(tmp_path)) == ()
