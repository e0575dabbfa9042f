"""What the tests stand on: isolated instances of ingle, and the starter model, fetched once and kept."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from ingle_daemon import client, launch

STARTER = "smollm2-135m-instruct"


class Instance:
    """An ingle of its own: XDG directories in a fresh folder, so that nothing of the user's is seen or touched.

    `env` is the environment for its processes; `active()` makes this process a client of it.
    """

    def __init__(self, root: Path, **variables: str) -> None:
        self.root = root
        names = ("CONFIG_HOME", "DATA_HOME", "STATE_HOME", "CACHE_HOME", "RUNTIME_DIR")
        self.xdg = {f"XDG_{name}": str(root / name.split("_")[0].lower()) for name in names}
        bin_dir = str(Path(sys.executable).parent)
        self.env = {
            "PATH": f"{bin_dir}:{os.environ['PATH']}",
            "HOME": str(root),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            **{k: v for k, v in os.environ.items() if k.startswith("PIP_") or k == "PYTHONPATH"},
            **self.xdg,
            **variables,
        }

    @property
    def config_file(self) -> Path:
        return Path(self.xdg["XDG_CONFIG_HOME"]) / "ingle/config.toml"

    @property
    def socket_file(self) -> Path:
        return Path(self.xdg["XDG_RUNTIME_DIR"]) / "ingle/ingled.sock"

    @property
    def log_file(self) -> Path:
        return Path(self.xdg["XDG_STATE_HOME"]) / "ingle/ingled.log"

    def configure(self, text: str) -> None:
        """Write the configuration; a running daemon does not see it."""
        self.config_file.parent.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(text)

    def script(self, **script: Any) -> None:
        """Answer from this script (see backends/scripted.py); a running daemon does not see it."""
        path = self.root / "script.json"
        path.write_text(json.dumps(script))
        self.env |= {"INGLE_BACKEND": "scripted", "INGLE_SCRIPT": str(path)}

    def use_model(self, path: Path) -> None:
        """Load this GGUF with the real engine; a running daemon does not see it."""
        self.env.pop("INGLE_BACKEND", None)
        self.env["INGLE_MODEL"] = str(path)

    def run(
        self,
        *argv: str,
        input: str | bytes | None = None,  # noqa: A002 - subprocess's own name for it
        timeout: float = 60,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the installation (`ask`, `ingle` …) to its end."""
        raw = input.encode() if isinstance(input, str) else input
        done = subprocess.run(
            argv,
            input=raw,
            stdin=subprocess.DEVNULL if raw is None else None,
            capture_output=True,
            timeout=timeout,
            env={**self.env, **(env or {})},
            cwd=self.root,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within it, this process's `ingle_daemon.client` talks to this instance."""
        before = dict(os.environ)
        os.environ.update(self.env)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def start(self) -> None:
        """Start the daemon, unless it runs."""
        with self.active():
            launch.connect().close()

    def call(self, method: str, path: str, payload: object = None) -> Any:
        """One plain call to the daemon, started if need be."""
        with self.active():
            return client.call(method, path, payload)

    def stream(self, path: str, payload: object) -> client.Stream:
        with self.active():
            return client.stream(path, payload)

    @property
    def pid(self) -> int:
        """The running daemon's."""
        with self.active():
            pid: int = client.call("GET", "/ingle/status", autostart=False)["pid"]
        return pid

    def kill(self) -> None:
        """kill -9 of the daemon, and wait until it is gone."""
        kill(self.pid)
        self.wait_until_gone()

    def wait_until_gone(self) -> None:
        """Until the daemon, which was killed, holds its lock no more."""
        with (Path(self.xdg["XDG_RUNTIME_DIR"]) / "ingle/ingled.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)

    def close(self) -> None:
        """End the daemon, however it is, wait until it is gone, and remove the folder."""
        lock = Path(self.xdg["XDG_RUNTIME_DIR"]) / "ingle/ingled.lock"
        if lock.exists():
            self.run("ingle", "stop", timeout=30)
            with lock.open("rb") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
        shutil.rmtree(self.root, ignore_errors=True)


def new_instance(**variables: str) -> Instance:
    """A fresh instance. Its folder's name is short: a socket's path must be."""
    return Instance(Path(tempfile.mkdtemp(prefix="ingle-t-")), **variables)


def cache_dir() -> Path:
    """What the tests fetched once and keep: models, editors."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ingle-tests"
    base.mkdir(parents=True, exist_ok=True)
    return base


def starter_model() -> Path:
    """The starter's GGUF, fetched by the product's own `ingle model pull` into the tests' cache."""
    data = cache_dir() / "data"
    store = data / "ingle/models" / STARTER
    if not list(store.glob("*.gguf")):
        instance = new_instance(XDG_DATA_HOME=str(data), INGLE_BACKEND="scripted")
        try:
            done = instance.run("ingle", "model", "pull", STARTER, timeout=600)
            assert done.returncode == 0, done.stderr
        finally:
            instance.close()
    (model,) = store.glob("*.gguf")
    return model


def fim_model() -> Path:
    """A copy of the starter that names five of its special tokens as fill-in-the-middle tokens, kept in the cache.

    It was never trained on them: it exercises the path and its cost, not the completions' worth.
    """
    source = starter_model()
    target = cache_dir() / f"{source.stem}-fim.gguf"
    if not target.exists():
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        _write_fim_copy(source, partial)
        partial.replace(target)
    return target


def k_quantized_model() -> Path:
    """The starter, quantized again as most models come: Q4_K where the shape allows it. Kept in the cache."""
    import llama_cpp  # takes longer than most tests, and few need it

    source = starter_model()
    target = cache_dir() / "SmolLM2-135M-Instruct.Q4_K_M.gguf"
    if not target.exists():
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        params = llama_cpp.llama_model_quantize_default_params()
        params.ftype, params.allow_requantize = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M, True
        failed = llama_cpp.llama_model_quantize(str(source).encode(), str(partial).encode(), ctypes.byref(params))
        assert not failed
        partial.replace(target)
    return target


def fim_instance() -> Instance:
    """An instance that loads `fim_model`, prefix first whatever the self-test says, prompts up to 2,048 tokens."""
    instance = new_instance(INGLE_MODEL=str(fim_model()))
    instance.configure('[engine]\nfim = "psm"\nfim_tokens = 2048\n')
    return instance


def _write_fim_copy(source: Path, target: Path) -> None:
    from gguf import GGUFReader, GGUFValueType, GGUFWriter  # takes longer than most tests, and few need it

    reader = GGUFReader(source)
    writer = GGUFWriter(target, reader.get_field("general.architecture").contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind = field.types[0]
        sub_type = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=sub_type)
    for name, token in {"pre": 3, "suf": 5, "mid": 7, "rep": 4, "sep": 6}.items():
        writer.add_uint32(f"tokenizer.ggml.fim_{name}_token_id", token)
    for tensor in reader.tensors:
        writer.add_tensor_info(
            tensor.name, tensor.data.shape, tensor.data.dtype, tensor.data.nbytes, tensor.tensor_type
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in reader.tensors:
        writer.write_tensor_data(tensor.data)
    writer.close()


def kill(pid: int) -> None:
    """kill -9, until the system has closed its sockets: whoever connects meanwhile would meet the dead."""
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: _has_ended(process))


def _has_ended(process: psutil.Process) -> bool:
    """Its first thread is a zombie while others, the last of which closes the sockets, may still run."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE and process.num_threads() == 1)
    except psutil.NoSuchProcess:
        return True


def wait_until(condition: Callable[[], bool]) -> None:
    """Ask again and again, gently: for states that nobody announces. The test's own time limit is the deadline."""
    while not condition():
        time.sleep(0.02)
