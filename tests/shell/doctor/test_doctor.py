"""`ingle doctor` on a real installation: what it finds, what it leaves alone, and what its archive holds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import stat
import time
import zipfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from ingle_daemon.inspection import _PROVIDER_S
from ingle_shell.doctor import bundle
from ingle_shell.doctor.facts import Facts, Program, Socket
from nvml import StandIn, gpu
from provider import Answer as Reply
from provider import Provider, http
from shell.fake_daemon import Answer, fake_daemon
from support import Instance


def findings(instance: Instance, *arguments: str, **variables: str) -> dict[str, dict[str, str]]:
    done = instance.run("ingle", "doctor", "--json", *arguments, env=variables)
    return {found["name"]: found for found in json.loads(done.stdout)["findings"]}


def test_without_a_daemon_it_says_so_and_starts_none(instance: Instance) -> None:
    found = findings(instance)
    assert (found["daemon"]["level"], found["daemon"]["what"]) == ("warning", "ingled is not running")
    assert not instance.socket_file.exists()


def test_it_changes_nothing(instance: Instance) -> None:
    instance.run("ingle", "doctor")
    assert list(instance.root.iterdir()) == []


def test_with_start_it_starts_one_and_looks_at_it(instance: Instance) -> None:
    found = findings(instance, "--start")
    assert f"process {instance.pid}" in found["daemon"]["what"]
    assert found["socket"]["what"] == f"{instance.socket_file}, mode 0600"


def test_a_problem_is_exit_code_2_and_its_fix_is_shown(instance: Instance) -> None:
    done = instance.run("ingle", "doctor", env={"INGLE_MODEL": "/nowhere/x.gguf"})
    assert done.returncode == 2
    assert "problem model: cannot read the model /nowhere/x.gguf" in done.stdout


@pytest.mark.model
def test_a_real_installation_with_its_model_is_well(real: Instance) -> None:
    real.run("ask", "-n", "hi", timeout=120)
    done = real.run("ingle", "doctor")
    assert done.returncode == 0, done.stdout
    assert "the file is whole, ready" in done.stdout
    assert "does not fill in the middle" in done.stdout
    assert "llama-cpp-python 0." in done.stdout


def test_what_keeps_the_daemon_from_starting_is_told_with_its_line(instance: Instance) -> None:
    instance.configure("[engine]\ncontext = 'large'\n")
    found = findings(instance, "--start")
    assert found["daemon"]["level"] == "problem"
    assert "config.toml:2: engine.context" in found["configuration"]["what"]
    assert str(instance.config_file) in found["configuration"]["fix"]


def test_a_catalog_of_the_users_that_cannot_be_read_is_told_with_its_line(instance: Instance) -> None:
    instance.configure("")
    instance.config_file.with_name("models.toml").write_text("[[model]]\nname = 3\n")
    found = findings(instance)["configuration"]
    assert (found["level"], "models.toml:2: " in found["what"]) == ("problem", True)


def test_a_folder_that_others_may_enter_is_told_until_the_fix_is_typed(instance: Instance) -> None:
    instance.start()
    instance.log_file.parent.chmod(0o755)
    fix = findings(instance)["folders"]["fix"]
    assert fix == f"chmod 700 {instance.log_file.parent}"
    instance.run("sh", "-c", fix)
    assert findings(instance)["folders"]["level"] == "ok"


def test_a_rule_file_that_is_none_is_told(instance: Instance) -> None:
    work = instance.root / "work"
    work.mkdir()
    (work / ".ingle.toml").write_text("offline = true\nurl = 'http://evil'\n")
    done = instance.run("sh", "-c", f"cd {work} && ingle doctor --json")
    (found,) = (found for found in json.loads(done.stdout)["findings"] if found["name"] == "workspace")
    assert found["level"] == "warning"
    assert f"{work}/.ingle.toml:2" in found["what"]


def test_a_program_of_the_users_folder_is_not_imported(instance: Instance) -> None:
    (instance.root / "json.py").write_text("raise SystemExit('imported')")
    assert findings(instance)["llama.cpp"]["level"] == "ok"


def test_errors_in_the_log_are_counted_by_module_and_not_quoted(instance: Instance) -> None:
    instance.log_file.parent.mkdir(parents=True, mode=0o700)
    now = datetime.now(timezone.utc).isoformat()
    entries = [
        {"time": now, "level": "error", "logger": "ingle_daemon.backends.local", "message": "xyzzy"},
        {"time": now, "level": "error", "logger": "ingle_daemon.xyzzy", "message": "xyzzy"},
        {"time": "2001-01-01T00:00:00+00:00", "level": "error", "logger": "ingle_daemon.app", "message": "xyzzy"},
        {"time": now, "level": "warning", "logger": "ingle_daemon.app", "message": "xyzzy"},
    ]
    lines = [*map(json.dumps, entries), "Traceback: xyzzy", '{"time": 3}', "[]", ""]
    instance.log_file.write_text("\n".join(lines))
    done = instance.run("ingle", "doctor")
    assert "errors, 1 from backends.local, 1 from" in " ".join(done.stdout.split())
    assert "xyzzy" not in done.stdout


def test_a_daemon_that_logs_to_the_journal_has_its_errors_counted_there(instance: Instance) -> None:
    program = instance.root / "bin/journalctl"
    program.parent.mkdir()
    entries = [
        {"PRIORITY": "3", "MESSAGE": "ingle_daemon.backends.local: the engine worker died status=-9"},
        {"PRIORITY": "4", "MESSAGE": "ingle_daemon.app: xyzzy"},
        {"PRIORITY": "3", "MESSAGE": [120, 121]},
        {"PRIORITY": "3", "MESSAGE": "xyzzy"},
    ]
    lines = "\n".join(map(json.dumps, entries))
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n")
    program.chmod(0o755)
    instance.env["PATH"] = f"{program.parent}:{instance.env['PATH']}"
    status = {"version": "1", "pid": 1, "uptime_s": 1, "backend": "local", "model": {"state": "none"}}
    with fake_daemon(instance.socket_file) as daemon:
        daemon.play("/ingle/status", Answer({**status, "journal": "journalctl --user -u ingled"}))
        found = findings(instance)["log"]
    assert "errors, 1 from backends.local, 1 from others" in found["what"]
    assert found["fix"] == "journalctl --user -u ingled"


# --- editors and shells ---------------------------------------------------------------------------------------------


def test_editors_and_what_they_have_of_ingle(instance: Instance) -> None:
    programs = instance.root / "bin"
    programs.mkdir()
    for name in ("nvim", "code"):
        (programs / name).write_text("#!/bin/sh\nexit 1\n")
        (programs / name).chmod(0o755)
    instance.env["PATH"] = f"{programs}:{instance.env['PATH']}"
    assert findings(instance)["editors"]["what"] == "Neovim without the plugin, code without the plugin"
    instance.run("ingle", "setup", "neovim", "--yes")
    extension = instance.root / ".vscode/extensions/ingle.ingle-0.0.9"
    extension.mkdir(parents=True)
    (extension / "package.json").write_text('{"version": "0.0.9"}')
    found = findings(instance)["editors"]
    assert found["what"] == "Neovim with the plugin, code 0.0.9: not the plugin of this version"
    assert found["fix"] == "ingle setup vscode"
    plugin = instance.root / "data/nvim/site/pack/ingle/start/ingle/lua/ingle/init.lua"
    plugin.write_text("-- older")
    assert findings(instance)["editors"]["fix"] == "ingle setup neovim; ingle setup vscode"


@pytest.mark.parametrize(("text", "there"), [('eval "$(ingle init bash)"\n', True), ("# ingle init bash\n", False)])
def test_the_line_in_a_shells_file(instance: Instance, text: str, there: bool) -> None:
    (instance.root / ".bashrc").write_text(text)
    found = findings(instance, SHELL="/bin/bash")["shell"]
    assert ("bash (" in found["what"]) is there
    assert (found["fix"] == "") is there


def test_a_build_for_the_cpu_beside_a_gpu_is_told_with_the_command_that_installs_the_other(
    instance: Instance, driver: StandIn
) -> None:
    driver.says(gpu("NVIDIA GeForce RTX 3050"))
    found = findings(instance, **driver.env)["gpu"]
    assert found["level"] == "warning"
    assert "RTX 3050 is not used: this llama-cpp-python is built without CUDA" in found["what"]
    assert "-m pip install" in found["fix"]
    assert found["fix"].endswith("llama-cpp-python>=0.3.36'")


# --- providers ------------------------------------------------------------------------------------------------------


async def _silence(_: asyncio.StreamWriter) -> None:
    """Say nothing: the connection is kept until the other side goes."""


async def told_of_api(instance: Instance, provider: Provider, models: Reply, more: str) -> tuple[dict[str, Any], int]:
    """What the doctor says of the API, and how often the provider was asked."""
    provider.models = models
    async with provider.serve():
        url = f"http://127.0.0.1:{provider.port}/v1"
        instance.configure(f'{more.partition("|")[0]}[api]\nurl = "{url}"\nmodel = "m"\n{more.partition("|")[2]}')
        found = await asyncio.to_thread(findings, instance, NO_PROXY="127.0.0.1")
    return found["api"], provider.listed


LIST = http("200 OK", "application/json", b'{"data": []}')


async def test_a_provider_that_may_be_asked_is_asked_for_its_models_without_a_key(instance: Instance) -> None:
    provider = Provider()
    more = '|allow = true\nkey_command = ["/bin/sh", "-c", "echo k3y; touch ran"]\n'
    found, asked = await told_of_api(instance, provider, LIST, more)
    assert (found["level"], asked) == ("ok", 1)
    assert "answers (HTTP 200" in found["what"]
    assert b"authorization" not in provider.head.lower()
    assert provider.head.startswith(b"GET /v1/models ")
    assert not (instance.root / "ran").exists()


@pytest.mark.parametrize("more", ["|", "|allow = false\n", "offline = true\n|allow = true\n"])
async def test_without_consent_or_offline_nobody_is_asked(instance: Instance, more: str) -> None:
    found, asked = await told_of_api(instance, Provider(), LIST, more)
    assert (found["level"], asked) == ("ok", 0)


async def test_a_provider_that_wants_a_key_is_reachable(instance: Instance) -> None:
    refusal = http("401 Unauthorized", "application/json", b"{}")
    found, _ = await told_of_api(instance, Provider(), refusal, "|allow = true\n")
    assert (found["level"], "wants a key" in found["what"]) == ("ok", True)


async def test_a_provider_that_is_silent_is_given_up_in_three_seconds(instance: Instance) -> None:
    began = time.monotonic()
    found, _ = await told_of_api(instance, Provider(), _silence, "|allow = true\n")
    assert (found["level"], "said nothing in 3 s" in found["what"]) == ("warning", True)
    assert time.monotonic() - began >= _PROVIDER_S


# --- the archive ----------------------------------------------------------------------------------------------------

API = '[api]\nurl = "https://u:s3cr3t-key@s3cr3t-host.example/v1"\nmodel = "s3cr3t-model"\nkey = "s3cr3t-name"\n'


def plant_secrets(instance: Instance) -> Path:
    """Something secret wherever the user's own text is kept; the folder to stand in."""
    instance.script(rules=[{"kind": "chat", "match": "", "answer": "s3cr3t-answer"}])
    work = instance.root / "s3cr3t-work"
    work.mkdir()
    (work / ".ingle.toml").write_text("s3cr3t-rule = 1\n")
    instance.configure(API)
    assert instance.run("ask", "s3cr3t-prompt").returncode == 0
    instance.call("POST", "/infill", {"input_prefix": "s3cr3t-code"})
    with contextlib.closing(sqlite3.connect(instance.log_file.with_name("ledger.sqlite"))) as ledger:
        ledger.execute("CREATE TABLE planted AS SELECT 's3cr3t-ledger' AS body")
    with instance.log_file.open("a") as log:
        now = datetime.now(timezone.utc).isoformat()
        entry = {"time": now, "level": "error", "logger": "ingle_daemon.s3cr3t", "message": "s3cr3t", "code": "s3cr3t"}
        log.write(f"s3cr3t-log\n{json.dumps(entry)}\n")
    (instance.root / ".bashrc").write_text("export OPENAI_API_KEY=s3cr3t-key\n")
    return work


@pytest.mark.parametrize("config", [API, f"{API}s3cr3t-key = 1\n"], ids=["valid", "wrong"])
def test_the_archive_holds_no_secret_no_code_and_no_name(instance: Instance, config: str) -> None:
    work, archive = plant_secrets(instance), instance.root / "report.zip"
    instance.configure(config)
    variables = {"INGLE_MODEL": "/x/s3cr3t-model.gguf", "LOGNAME": "kim", "OPENAI_API_KEY": "s3cr3t-key"}
    done = instance.run("sh", "-c", f"cd {work} && ingle doctor --bundle {archive}", env=variables)
    assert "s3cr3t" in done.stdout  # the user's own screen tells which model, which setting
    with zipfile.ZipFile(archive) as bundled:
        text = "".join(bundled.read(name).decode() for name in bundled.namelist())
    report = json.loads(text[text.index("{") :])
    assert report["levels"]["model"] == "problem"
    assert report["inspection"]["configuration"]["valid"] is (config == API)
    assert report["log"]["errors"] == {"others": 1}
    for secret in ("s3cr3t", str(instance.root), "kim"):
        assert secret not in text
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600


def test_an_archive_overwrites_nothing(instance: Instance) -> None:
    (instance.root / "mine").write_text("mine")
    done = instance.run("ingle", "doctor", "--bundle", "mine")
    assert (done.returncode, (instance.root / "mine").read_text()) == (2, "mine")
    assert "cannot write mine" in done.stderr


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/kim/.local/bin/python", "~/.local/bin/python"),
        ("/home/kimberly/x", "/home/kimberly/x"),
        ("/srv/venvs/kim/bin/python", "/srv/venvs/USER/bin/python"),
        ("/opt/ingle-kim.d/x", "/opt/ingle-USER.d/x"),
    ],
)
def test_the_users_name_is_in_no_path(path: str, shown: str) -> None:
    program = Program(version="1", python=(3, 11, 0), executable=path, place=path, system="Linux")
    facts = Facts(program=program, socket=Socket(path=path, exists=False))
    report = bundle.contents(facts, [], home="/home/kim", user="kim")
    assert report["program"]["executable"] == report["program"]["place"] == report["socket"]["path"] == shown


# --- on a terminal --------------------------------------------------------------------------------------------------


def test_forty_columns_are_enough(instance: Instance) -> None:
    done = instance.run("ingle", "doctor", env={"COLUMNS": "40"})
    told = [line for line in done.stdout.splitlines() if not line.lstrip().startswith("→") and " " in line.strip()]
    assert max(map(len, told)) <= 40


def test_the_help_tells_the_exit_codes(instance: Instance) -> None:
    assert "0 no problem, 2 a problem" in instance.run("ingle", "doctor", "--help").stdout


def test_paths_are_shown_from_the_home_folder_on(instance: Instance) -> None:
    shown = instance.run("ingle", "doctor").stdout
    assert "~/config/ingle/config.toml" in shown
    assert str(Path(instance.xdg["XDG_CONFIG_HOME"])) not in shown
