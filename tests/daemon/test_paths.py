"""Where things are, as the XDG Base Directory specification has it, and who may enter."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ingle_daemon import paths

XDG = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")
FOLDERS: dict[str, tuple[Callable[[], Path], str]] = {
    "XDG_CONFIG_HOME": (lambda: paths.config_file().parent, ".config"),
    "XDG_DATA_HOME": (paths.data_dir, ".local/share"),
    "XDG_STATE_HOME": (paths.state_dir, ".local/state"),
    "XDG_CACHE_HOME": (paths.cache_dir, ".cache"),
}
ALL = (
    paths.config_file,
    paths.models_dir,
    paths.log_file,
    paths.token_file,
    paths.cache_dir,
    paths.socket_file,
    paths.daemon_lock,
    paths.start_lock,
)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A short home and no XDG variables."""
    for variable in XDG:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    return Path("/home/somebody")


@pytest.mark.parametrize("variable", FOLDERS)
def test_without_the_variable_it_is_the_specifications_default(variable: str, home: Path) -> None:
    folder, default = FOLDERS[variable]
    assert folder() == home / default / "ingle"


@pytest.mark.parametrize("variable", FOLDERS)
def test_the_variable_moves_it(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "/elsewhere")
    assert FOLDERS[variable][0]() == Path("/elsewhere/ingle")


@pytest.mark.parametrize("variable", FOLDERS)
@pytest.mark.parametrize("value", ["", "relative/path", "./here"])
def test_an_empty_or_relative_variable_is_ignored(
    variable: str, value: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    folder, default = FOLDERS[variable]
    assert folder() == home / default / "ingle"


def test_the_socket_is_in_the_runtime_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert paths.socket_file() == Path("/run/user/1000/ingle/ingled.sock")
    assert {paths.daemon_lock().parent, paths.start_lock().parent} == {paths.runtime_dir()}


@pytest.mark.parametrize(
    "value",
    [
        "",
        pytest.param("relative"),
    ],
)
def test_without_a_runtime_directory_the_socket_is_with_the_state(
    value: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", value)
    assert paths.runtime_dir() == home / ".local/state/ingle/run"


def test_a_path_too_long_for_a_socket_moves_to_a_short_one_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for deep in ("/deep" * 40, "/deep" * 41):
        monkeypatch.setenv("XDG_RUNTIME_DIR", deep)
        assert len(os.fsencode(paths.socket_file())) <= 100
        assert paths.runtime_dir() == paths.runtime_dir(), "the same one for every client"
        assert str(os.getuid()) in paths.runtime_dir().name
        seen.add(paths.runtime_dir())
    assert len(seen) == 2


@pytest.mark.parametrize("length", [99, 100, 101])
def test_a_socket_path_of_100_bytes_is_the_longest_used_as_it_is(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    base = "/" + "é" * 10  # two bytes each: bytes count, not characters
    base += "x" * (length - len(os.fsencode(f"{base}/ingle/ingled.sock")))
    monkeypatch.setenv("XDG_RUNTIME_DIR", base)
    assert (paths.runtime_dir() == Path(base) / "ingle") == (length <= 100)


def test_two_homes_share_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {path() for path in ALL}
    monkeypatch.setenv("HOME", "/home/else")
    assert not ours & {path() for path in ALL}


def test_naming_a_path_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ALL:
        path()
    assert list(tmp_path.iterdir()) == []


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    made = paths.private_dir(tmp_path / "a/b")
    assert made == tmp_path / "a/b"
    assert mode(made) == 0o700


def test_a_private_directory_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert mode(paths.private_dir(tmp_path / "a")) == 0o700
    finally:
        os.umask(before)


def test_a_directory_that_others_may_enter_is_closed_to_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert mode(paths.private_dir(tmp_path)) == 0o700


def test_somebody_elses_directory_is_refused(tmp_path: Path) -> None:
    foreign = Path("/")  # belongs to root
    if os.getuid() == 0:
        foreign = tmp_path / "theirs"
        foreign.mkdir(mode=0o755)
        os.chown(foreign, 12345, 12345)
    before = mode(foreign)
    with pytest.raises(PermissionError, match="belongs to another user"):
        paths.private_dir(foreign)
    assert mode(foreign) == before


def test_a_file_in_its_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="File exists"):
        paths.private_dir(tmp_path / "file")
