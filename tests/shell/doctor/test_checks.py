"""What the doctor says of facts: every fault by itself, beside an installation where nothing is wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ingle_shell.doctor.checks import CHECKS, Finding, examine
from ingle_shell.doctor.facts import (
    Configuration,
    Facts,
    Folder,
    Gpu,
    Gpus,
    Inspection,
    Keyring,
    Llama,
    Log,
    Model,
    Plugin,
    Program,
    Provider,
    RuleFile,
    Running,
    RunningModel,
    Service,
    Shell,
    Socket,
)

SOCKET = "/run/user/1000/ingle/ingled.sock"
INSPECTION = Inspection(
    configuration=Configuration(path="/c/config.toml", exists=True),
    model=Model(name="qwen", path="/d/qwen.gguf", size_bytes=986_000_000, in_catalog=True, installed=1),
    llama=Llama(version="0.3.36", backends=("cpu",), devices=("Ryzen (cpu)",), flags="CPU : AVX = 1 | OPENMP = 1"),
    keyring=Keyring(backend="keyring.backends.SecretService.Keyring", usable=True),
)
STATE = Folder(what="state", path="/s/ingle", private=True, exists=True, mode=0o700, free_bytes=9_000_000_000)
DATA = Folder(what="data", path="/d/ingle", private=False, exists=True, mode=0o755, free_bytes=9_000_000_000)
READY = RunningModel(state="ready", name="qwen", n_ctx=8192, fim="psm")
WELL = Facts(
    program=Program(version="1.0", python=(3, 11, 7), executable="/usr/bin/python3", place="/opt/i", system="Linux"),
    socket=Socket(path=SOCKET, exists=True, mode=0o600),
    running=Running(version="1.0", pid=7, uptime_s=1.0, answered_ms=3.0, model=READY),
    inspection=INSPECTION,
    folders=(STATE, DATA),
    plugins=(Plugin(editor="Neovim", setup="ingle setup neovim", version="with the plugin"),),
    shells=(Shell(name="bash", login=True, file="/h/.bashrc", has_line=True, line="eval …"),),
    log=Log(path="/s/ingled.log", exists=True, hours=24),
    service=Service(manager="systemd", files=("/c/ingled.socket",), states={"ingled.socket": "enabled, active"}),
)


def but(facts: Facts = WELL, **changes: Any) -> Facts:
    return msgspec.structs.replace(facts, **changes)


def seen(**changes: Any) -> Facts:
    """The well installation, with something else found by the daemon's side."""
    return but(inspection=msgspec.structs.replace(INSPECTION, **changes))


def answering(**changes: Any) -> Facts:
    assert WELL.running
    return but(running=msgspec.structs.replace(WELL.running, **changes))


def folder(base: Folder, **changes: Any) -> Facts:
    return but(folders=(msgspec.structs.replace(base, **changes),))


def finding(facts: Facts, name: str) -> Finding:
    return next(found for found in examine(facts) if found.name == name)


def test_a_well_installation_has_no_fault() -> None:
    findings = examine(WELL)
    assert [found.name for found in findings] == [name for name, _ in CHECKS]
    assert {found.level for found in findings} == {"ok"}
    assert not any(found.fix for found in findings)


WRONG = {
    "an old Python": ("python", but(program=msgspec.structs.replace(WELL.program, python=(3, 9, 2))), "Python 3.10"),
    "a dead daemon": ("daemon", but(running=None, silence="the lock is held"), "--start"),
    "a deaf daemon": ("daemon", but(running=None, listening=True, silence="it does not answer"), "ingle stop"),
    "no socket": ("socket", but(socket=Socket(path=SOCKET, exists=False)), ""),
    "an open socket": ("socket", but(socket=Socket(path=SOCKET, exists=True, mode=0o666)), f"chmod 600 {SOCKET}"),
    "a stranger's socket": ("socket", but(socket=Socket(path=SOCKET, exists=True, ours=False)), f"sudo rm {SOCKET}"),
    "no llama.cpp": ("llama.cpp", seen(llama=Llama(problem="libgomp.so.1: no such file")), "pip install"),
    "no inspection": ("model", but(inspection=None, mute="ModuleNotFoundError"), "install ingle anew"),
    "no model": ("model", seen(model=Model(problem="no model is installed")), "ingle model pull"),
    "a damaged model": ("model", seen(model=Model(name="q", problem="damaged", hint="ingle model rm q")), "rm q"),
    "a model that fails": ("model", answering(model=RunningModel(state="failed", error="no memory")), "model use"),
    "a bad setting": ("configuration", seen(configuration=Configuration(path="/c", problem="/c:3: bad")), "edit /c"),
    "a bad catalog": (
        "configuration",
        seen(configuration=Configuration(path="/c", models_problem="/m.toml:3: bad")),
        "edit /m.toml",
    ),
    "a key and no keyring": (
        "keyring",
        seen(keyring=Keyring(), configuration=Configuration(names_key=True)),
        "key_env",
    ),
    "an open folder": ("folders", folder(STATE, mode=0o755), "chmod 700 /s/ingle"),
    "a folder others write to": ("folders", folder(DATA, mode=0o777), "chmod go-w /d/ingle"),
    "a stranger's folder": ("folders", folder(STATE, ours=False), "chown"),
    "a folder that is read-only": ("folders", folder(DATA, writable=False), "chmod u+rwx"),
    "a folder that cannot be made": ("folders", folder(DATA, exists=False, writable=False), "mkdir -p"),
    "a failed socket": (
        "service",
        but(service=msgspec.structs.replace(WELL.service, states={"ingled.socket": "enabled, failed"})),
        "reset-failed",
    ),
    "a full disk": ("disk", folder(STATE, free_bytes=1_000), "df -h"),
}

BABBLES = RunningModel(state="ready", name="q", note="it babbles")
DOUBTFUL = {
    "another version": ("ingle", answering(version="0.9"), "ingle stop"),
    "no daemon": ("daemon", but(running=None), "--start"),
    "a slow daemon": ("daemon", answering(answered_ms=900.0), "top"),
    "a script for a model": ("daemon", answering(backend="scripted"), "unset INGLE_BACKEND"),
    "no FIM": ("completion", answering(model=BABBLES, recommended="r"), "ingle model pull r && ingle model use r"),
    "no FIM, and one that is here": (
        "completion",
        answering(model=BABBLES, recommended="r", installed=("q", "r")),
        "ingle model use r",
    ),
    "no FIM, and none to take": ("completion", answering(model=BABBLES, recommended="q"), "ingle model recommend"),
    "a rule file that is none": ("workspace", seen(rule_files=(RuleFile(path="/w/x", problem="/w/x:1: bad"),)), "/w/x"),
    "a GPU that lies idle": (
        "gpu",
        seen(gpus=Gpus(found=(Gpu(name="RTX 3050"),), advice="It lies idle. This helps:\npython -m pip install x")),
        "python -m pip install x",
    ),
    "a silent provider": (
        "api",
        seen(providers=(Provider(host="api.example", consent=True, asked=True, problem="it said nothing"),)),
        "network",
    ),
    "room for no more": ("disk", folder(DATA, free_bytes=900_000_000), "/d/ingle/models"),
    "an old plugin": (
        "editors",
        but(plugins=(Plugin(editor="code", setup="ingle setup vscode", version="0.9", current=False),)),
        "ingle setup vscode",
    ),
    "an old unit": ("service", but(service=msgspec.structs.replace(WELL.service, current=False)), "service install"),
    "a socket that is not there": (
        "service",
        but(service=msgspec.structs.replace(WELL.service, states={"ingled.socket": "enabled, inactive"})),
        "service install",
    ),
    "errors in the journal": (
        "log",
        but(log=Log(path="journalctl --user -u ingled", exists=True, hours=24, errors={"app": 2})),
        "journalctl --user -u ingled",
    ),
    "errors": ("log", but(log=Log(path="/s/l", exists=True, hours=24, errors={"app": 2})), "tail /s/l"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_fault_is_a_problem_with_what_to_type(case: str) -> None:
    name, facts, fix = WRONG[case]
    found = finding(facts, name)
    assert found.level == "problem"
    assert fix in found.fix


@pytest.mark.parametrize("case", DOUBTFUL)
def test_what_still_works_is_a_warning_with_what_to_type(case: str) -> None:
    name, facts, fix = DOUBTFUL[case]
    found = finding(facts, name)
    assert (found.level, fix in found.fix) == ("warning", True)


def test_what_is_optional_is_no_fault_and_said_all_the_same() -> None:
    bare = but(
        plugins=(Plugin(editor="Neovim", setup="ingle setup neovim"),),
        shells=(Shell(name="zsh", login=True, file="/h/.zshrc", has_line=False, line='eval "$(ingle init zsh)"'),),
    )
    assert finding(bare, "editors") == Finding(
        "editors", "ok", "Neovim without the plugin", "to have it: ingle setup neovim"
    )
    assert 'eval "$(ingle init zsh)"' in finding(bare, "shell").fix


def test_a_gpu_that_is_used_is_told_with_its_memory() -> None:
    gpu = Gpu(name="RTX 3050", total_bytes=4 << 30, free_bytes=3 << 30)
    llama = Llama(version="1", devices=("RTX 3050 (cuda)", "Ryzen (cpu)"))
    found = finding(seen(llama=llama, gpus=Gpus(found=(gpu,), driver="550.1")), "gpu")
    assert (found.level, found.what) == (
        "ok",
        "llama.cpp uses RTX 3050 (cuda); RTX 3050: 3.2 GB of 4.3 GB free, driver 550.1",
    )


def test_a_provider_that_wants_a_key_is_there() -> None:
    found = finding(seen(providers=(Provider(host="api.example", consent=True, asked=True, status=401),)), "api")
    assert (found.level, found.what) == ("ok", "api.example answers (HTTP 401, 0 ms, wants a key)")


def test_a_path_with_a_space_can_be_typed_as_it_stands() -> None:
    assert finding(folder(STATE, path="/s/my ingle", mode=0o755), "folders").fix == "chmod 700 '/s/my ingle'"
