"""What may never leave: private patterns, secret files, and what a workspace says of itself."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ingle_daemon.routing.privacy import why_private


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "src/work"
    (folder / "deep").mkdir(parents=True)
    return folder


def test_by_default_nothing_is_private(work: Path) -> None:
    assert why_private(str(work), [str(work / "app.py")], ()) == ""
    assert why_private("", [], ()) == ""


@pytest.mark.parametrize("name", [".env", "id_ed25519", "server.pem", "deep/terraform.tfvars"])
def test_a_file_of_secrets_is_private_whatever_is_configured(work: Path, name: str) -> None:
    assert "is a file of secrets" in why_private(str(work), [str(work / name)], ())


@pytest.mark.parametrize(
    ("pattern", "private"),
    [
        ("*.sql", ["dump.sql", "deep/dump.sql"]),
        ("~/src/work/deep/", ["deep/dump.sql", "deep/app.py"]),
        ("/nowhere", []),
    ],
)
def test_the_users_own_patterns_are_read_as_in_gitignore(work: Path, pattern: str, private: list[str]) -> None:
    names = ["app.py", "dump.sql", "deep/dump.sql", "deep/app.py"]
    found = [name for name in names if why_private(str(work), [str(work / name)], (pattern,))]
    assert found == [name for name in names if name in private]


def test_a_private_folder_makes_everything_asked_in_it_private(work: Path) -> None:
    assert "is private by [privacy] private" in why_private(str(work / "deep"), [], ("~/src/work",))


def test_a_relative_path_is_meant_from_where_it_was_asked(work: Path) -> None:
    assert why_private(str(work), ["../work/deep/x.sql"], ("*.sql",))


def test_what_a_link_leads_to_is_as_private_as_by_its_own_name(work: Path, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    vault.mkdir()
    (vault / "plan.txt").write_text("the plan")
    (vault / ".env").write_text("X=1")
    for name, target in {"notes.txt": "plan.txt", "settings": ".env", "inside": ""}.items():
        (work / name).symlink_to(vault / target)
    assert why_private(str(work), ["notes.txt"], ()) == ""
    assert "private by [privacy] private" in why_private(str(work), ["notes.txt"], ("~/vault/",))
    assert "private by [privacy] private" in why_private(str(work), ["inside/../vault/plan.txt"], ("~/vault/",))
    assert "is a file of secrets" in why_private(str(work), ["settings"], ())
    assert "private by [privacy] private" in why_private(str(work / "inside"), [], ("~/vault/",))
    (vault / ".ingle.toml").write_text("offline = true\n")
    assert "says `offline = true`" in why_private(str(work), ["notes.txt"], ())


def test_a_link_into_the_open_is_private_where_it_lies(work: Path, tmp_path: Path) -> None:
    (tmp_path / "open.txt").write_text("nothing")
    (work / "deep/x.sql").symlink_to(tmp_path / "open.txt")
    assert why_private(str(work), ["deep/x.sql"], ("*.sql",))


def test_a_workspace_keeps_itself_here_from_any_folder_below(work: Path) -> None:
    (work / ".ingle.toml").write_text("offline = true\n")
    assert "says `offline = true`" in why_private(str(work / "deep"), [], ())
    assert "says `offline = true`" in why_private("", [str(work / "deep/app.py")], ())
    assert why_private(str(work.parent), [], ()) == ""


def test_a_workspaces_patterns_are_meant_from_its_folder(work: Path) -> None:
    (work / ".ingle.toml").write_text('private = ["/deep/*.csv"]\n')
    assert "is private by" in why_private(str(work), [str(work / "deep/people.csv")], ())
    assert why_private(str(work), [str(work / "people.csv")], ()) == ""


def test_it_can_only_restrict(work: Path) -> None:
    """An inner file that says otherwise lifts nothing that an outer one or the user says."""
    (work / ".ingle.toml").write_text("offline = true\n")
    (work / "deep/.ingle.toml").write_text("offline = false\nprivate = []\n")
    assert why_private(str(work / "deep"), [], ())
    assert why_private(str(work), [str(work / "x.sql")], ("*.sql",))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("allow = true", 1),
        ("offline = false\n\n[api]\nurl = 'http://evil.example'", 3),
        ("private = ['a']\nconsent = true", 2),
        ("private = 'a'", 1),
        ("\noffline = 'no'", 2),
        ("offline =", 1),
        ("private = [\n", 2),
        ("private = " + 30_000 * "[", 1),
    ],
)
def test_one_that_is_not_understood_forbids_everything_and_names_the_line(work: Path, text: str, line: int) -> None:
    (work / ".ingle.toml").write_text(text)
    assert f".ingle.toml:{line}: " in why_private(str(work), [], ())


def test_a_folder_in_its_place_forbids_everything(work: Path) -> None:
    (work / ".ingle.toml").mkdir()
    assert "is no regular file" in why_private(str(work), [], ())


def test_one_that_cannot_be_read_forbids_everything(work: Path, tmp_path: Path) -> None:
    file = work / ".ingle.toml"
    file.symlink_to(tmp_path / "elsewhere")
    assert "no regular file" in why_private(str(work), [], ())
    file.unlink()
    file.write_bytes(b"\xff\xfe\xff")
    assert ".ingle.toml:1: " in why_private(str(work), [], ())
    file.write_text("#" * 100_000)
    assert "at most 64 KiB" in why_private(str(work), [], ())


def test_a_workspace_that_the_index_may_not_read_is_private_too(work: Path) -> None:
    (work / ".ingleignore").write_text("/\n")
    assert "is private by its .ingleignore" in why_private(str(work), [], ())


def test_a_pattern_that_could_match_in_endless_ways_takes_no_time(work: Path) -> None:
    """A stranger's: while an expression is matched no other thread of the daemon runs."""
    patterns = ["*a" * 30 + "*b", "**/a/" * 30 + "b"]
    (work / ".ingle.toml").write_text(f"private = {patterns}")
    for name in ("a" * 250, "a/" * 1000 + "a"):
        began = time.monotonic()
        assert why_private("", [str(work / name)], ()) == ""
        assert time.monotonic() - began < 5
    assert why_private("", [str(work / ("a" * 249 + "b"))], ())
