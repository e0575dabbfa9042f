"""Settings out of a TOML file, and what is said of a bad one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ingle_daemon import config, paths
from ingle_daemon.config import Settings, load, parse
from ingle_daemon.errors import UsageError


@pytest.fixture(autouse=True)
def nothing_of_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("INGLE_MODEL", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_a_missing_file_is_all_defaults() -> None:
    assert load() == parse("") == Settings()


def test_by_default_nothing_leaves_the_machine_and_nothing_listens_on_tcp() -> None:
    settings = Settings()
    assert not settings.api.allow
    assert settings.server.tcp_port == 0


def test_what_is_set_is_read_and_the_rest_stays_default() -> None:
    settings = parse(
        """
        offline = true
        engine.threads = 3
        [api]
        url = "https://api.example.com/v1"
        price_in = 1
        timeout = 5
        [ask]
        temperature = 0
        """
    )
    assert settings.offline
    assert settings.engine == config.EngineSettings(threads=3)
    assert (settings.api.url, settings.api.price_in, settings.api.timeout) == ("https://api.example.com/v1", 1.0, 5.0)
    assert settings.ask.temperature == 0.0


def test_settings_cannot_be_changed_after_they_were_read() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        Settings().offline = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("offline = = true", ":1: not valid TOML: "),
        ("offline = true\n[engine\n", ":2: not valid TOML: "),
        ("offline = true\noffline = false", ":2: not valid TOML: "),
        ("\n# a comment\noffline = 1", ":3: offline: Expected `bool`, got `int`"),
        ("[engine]\ncontext = 'large'", ":2: engine.context: Expected `int`, got `str`"),
        ("[engine]\ncontext = 8192.5", ":2: engine.context: Expected `int`, got `float`"),
        ("[engine] # mine\n\nbatch = []", ":3: engine.batch: Expected `int`, got `array`"),
        ("[engine]\nkv_type = 'q4'", ":2: engine.kv_type: Invalid enum value 'q4'"),
        ("[ api ]\nallow = 'yes'", ":2: api.allow: Expected `bool | null`, got `str`"),
        ("[api]\nprice_in = 'cheap'", ":2: api.price_in: Expected `float | null`, got `str`"),
        ("offline = true\nengine.context = 'x'", ":2: engine.context: Expected `int`, got `str`"),
        ("engine = {context = 'x'}", ":1: engine.context: Expected `int`, got `str`"),
        ("offline = true\nengine = 3", ":2: engine: Expected `object`, got `int`"),
        ("[api]\nmodel = 'a'\n[engine]\nmodel = 1", ":4: engine.model: Expected `str`, got `int`"),
        ("offline = true\nofline = true", ":2: ofline: there is no such setting; did you mean offline?"),
        (
            "[server]\ntcp_port = 1\n[engine]\n\ncontxt = 5",
            ":5: engine.contxt: there is no such setting; did you mean context?",
        ),
        ("[engine]\ncontext = 4096\n[server]\ncontext = 1", ":4: server.context: there is no such setting"),
        ("offline = true\n[bogus]\na = 1", ":2: bogus: there is no such setting"),
    ],
)
def test_bad_input_is_a_message_with_file_and_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        load(file)
    assert refused.value.message.startswith(f"{file}{message}")
    assert refused.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[engine]\n\n'context' = 'x'", "engine.context: Expected `int`, got `str`"),
        ("[engine.sub]\nx = 1", "engine.sub: there is no such setting"),
        ("[[engine]]\ncontext = 1", "engine: Expected `object`, got `array`"),
    ],
)
def test_where_the_line_cannot_be_told_exactly_the_setting_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=r"^config\.toml:1: ") as refused:
        parse(text)
    assert message in refused.value.message


@pytest.mark.parametrize(
    "text",
    [
        "[server]\ntcp_port = 70000",
        "[engine]\ncontext = 1",
        "[engine]\ncontext = 99999999999999999999",
        "[engine]\nbatch = 1",
        "[engine]\nthreads = 100000",
        "[engine]\ngpu_layers = 99999999999999999999",
        "[api]\ntimeout = -1",
        "[ask]\ntemperature = nan",
    ],
)
def test_a_number_out_of_its_range_is_bad_input(text: str) -> None:
    with pytest.raises(UsageError, match=r":2: "):
        parse(text)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"offline = \xff")
    with pytest.raises(UsageError, match=f"cannot read {file}: "):
        load(file)


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"cannot read {tmp_path}: "):
        load(tmp_path)


@pytest.mark.parametrize("text", [f"x = {'[' * 100_000}", "a." * 5_000 + "b = 1", f"offline = {'9' * 5_000}"])
def test_what_no_parser_takes_is_told_as_a_mistake(text: str) -> None:
    with pytest.raises(UsageError, match=r"config\.toml:1: not valid TOML"):
        parse(text)


def test_what_is_no_file_or_too_large_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "large").write_text("#" * 2_000_000)
    for name in ("pipe", "zero", "large"):
        with pytest.raises(UsageError, match=f"cannot read {tmp_path}/{name}: it "):
            load(tmp_path / name)
    (tmp_path / "nothing").symlink_to("/dev/null")
    assert load(tmp_path / "nothing") == Settings()


def test_the_users_file_is_read_where_xdg_puts_it() -> None:
    paths.config_file().parent.mkdir()
    paths.config_file().write_text("offline = true")
    assert load().offline


def test_the_environment_overrides_the_model_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[engine]\nmodel = 'in-the-file'\nthreads = 3")
    monkeypatch.setenv("INGLE_MODEL", "/models/other.gguf")
    assert load(file).engine == config.EngineSettings(model="/models/other.gguf", threads=3)
    monkeypatch.setenv("INGLE_MODEL", "")
    assert load(file).engine.model == "in-the-file"
