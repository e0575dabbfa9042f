"""What the tests of pulls stand on: a hub of their own, the settings of a user of it, and a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.pulling.hub import FILE, Hub, make_gguf
from ingle_daemon.models.store import Store
from support import Instance, new_instance


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A GGUF of 12 MB."""
    return make_gguf(tmp_path_factory.mktemp("gguf") / FILE)


@pytest.fixture
def hub(model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    made = Hub(model)
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", made.endpoint)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture
def user(hub: Hub) -> Iterator[Instance]:
    """Somebody whose hub is that one, with a scripted backend."""
    made = new_instance(INGLE_BACKEND="scripted", HF_ENDPOINT=hub.endpoint, NO_PROXY="127.0.0.1,localhost")
    yield made
    made.close()
