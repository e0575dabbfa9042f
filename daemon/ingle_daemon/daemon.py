"""What the daemon is made of behind its doors: the backend, the model store, the token, and its own status.

It knows no socket and no HTTP shape; `server.py` gives it the means to stop and to open the TCP door.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ingle_daemon import __version__, managed, paths
from ingle_daemon.activity import Activity, look
from ingle_daemon.backends.base import Backend
from ingle_daemon.backends.price_list import PriceList
from ingle_daemon.backends.switch import Switch
from ingle_daemon.backends.team.engine import TeamEngine
from ingle_daemon.backends.team.fallback import Fallback
from ingle_daemon.completions import Completions
from ingle_daemon.config import Settings
from ingle_daemon.engine import frames
from ingle_daemon.engines import Engines
from ingle_daemon.errors import NoModel, UsageError
from ingle_daemon.journal import open_journal
from ingle_daemon.journal.answers import Answers
from ingle_daemon.journal.conversations import Log
from ingle_daemon.journal.outcomes import Outcomes
from ingle_daemon.library import Library
from ingle_daemon.metrics import Metrics
from ingle_daemon.models import catalog
from ingle_daemon.models.guide import Guide, this_machine
from ingle_daemon.models.seal import Seal
from ingle_daemon.models.store import Store
from ingle_daemon.power import Power
from ingle_daemon.reload import Configuration, effect
from ingle_daemon.routing.confidence import Calibration
from ingle_daemon.routing.consent import Consent
from ingle_daemon.routing.egress import Egress
from ingle_daemon.routing.judge import Judge
from ingle_daemon.routing.ledger import Ledger, Limits
from ingle_daemon.surroundings import Surroundings
from ingle_daemon.workspace import listing
from ingle_daemon.workspace.workspaces import Workspaces

__all__ = ["Daemon"]

_logger = logging.getLogger(__name__)


class Daemon:
    """The services that the dialects reach. `Control` in dialects/control.py is its public side."""

    def __init__(
        self,
        settings: Settings,
        *,
        stop: Callable[[], None],
        serve_tcp: Callable[[int], Awaitable[str]],
        tcp_url: Callable[[], str],
    ) -> None:
        self.configuration = Configuration(settings, paths.config_file())
        self._began_with = self._loaded_with = settings
        self._reloading: asyncio.Task[None] | None = None
        self._forgetting: asyncio.Task[None] | None = None
        self._stop = stop
        self._serve_tcp = serve_tcp
        self._tcp_url = tcp_url
        self._began = time.monotonic()
        self._store = Store(paths.models_dir())
        self.library = Library(self._store, self, offline=settings.offline)
        self._guide = Guide(self._store, this_machine)
        self.metrics = Metrics()
        self._switch = Switch(self._load)
        limits = Limits(settings.budget.day, settings.budget.month)
        self.egress = Egress(
            settings,
            Ledger(paths.ledger_file(), limits),
            Consent(paths.consent_file()),
            PriceList(paths.price_file()),
            str(Path.home()),
        )
        self._engines = Engines(
            settings.engine,
            self.metrics,
            paths.loads_file(),
            to_complete=lambda: self._load_of(self._settings.engine.model, chat=False),
            to_answer=lambda: self._load_of(self._switch.loaded or self._answering),
        )
        self._power = Power(self._engines.economize, heeded=settings.power.on_battery == "save")
        self.local = self._engines.answering
        self.backend = self._with_team(self._engines.completing)
        self.answering = self.backend if self.local is self._engines.completing else self._with_team(self.local)
        self._workspaces = Workspaces(paths.private_dir(paths.indexes_dir()))
        indexed = self._workspaces if settings.completion.context == "on" else None
        self._journal = open_journal(paths.journal_file())
        self._outcomes = Outcomes(self._journal, keep_text=settings.completion.keep_text)
        self.log = Log(self._journal)
        self.judge = Judge(Answers(self._journal) if settings.ask.log else None, _measured_confidence)
        self._surroundings = Surroundings(self.backend, indexed, saving=lambda: self._power.saving)
        self.completions = Completions(self.backend, self._surroundings, self._outcomes)

    async def start(self) -> None:
        """To be called before anybody is answered."""
        await asyncio.to_thread(self._put_journal_in_order)
        self._power.start()
        if self._settings.engine.preload:
            await self.backend.start()
            if self.backend is self._engines.completing:  # what a team's engine may do is loaded when it does not
                self._engines.start_beside()

    async def stop(self) -> None:
        if self._reloading is not None:
            self._reloading.cancel()
        if self._forgetting is not None:
            await self._forgetting
        await self._power.close()
        await self.completions.close()
        await self._switch.close()
        await self._engines.stop()
        await self._workspaces.close()
        await self.backend.stop()
        if self.answering is not self.backend:
            await self.answering.stop()
        self.egress.ledger.close()

    @property
    def _settings(self) -> Settings:
        """Those in force now."""
        return self.configuration.now

    def adopt(self, before: Settings, settings: Settings, quiet: Callable[[], Awaitable[None]]) -> None:
        """The configuration was edited. What only a load reads has the worker replaced, once all is `quiet`."""
        self.egress = self.egress.under(settings)
        self.library.stay_offline(settings.offline)
        self.judge.keep(Answers(self._journal) if settings.ask.log else None)
        self._outcomes.keep_texts(settings.completion.keep_text)
        if before.completion.keep_text and not settings.completion.keep_text:
            self._forgetting = asyncio.create_task(asyncio.to_thread(self._forget_texts))
        self._surroundings.use(self._workspaces if settings.completion.context == "on" else None)
        if effect(before, settings).at_load and (self._reloading is None or self._reloading.done()):
            self._reloading = asyncio.create_task(self._reload_when(quiet))

    async def _reload_when(self, quiet: Callable[[], Awaitable[None]]) -> None:
        await quiet()
        if self.backend.status()["state"] not in ("none", "idle"):  # then the next request loads by the new settings
            await self.reload()

    # --- Control ---

    def status(self) -> dict[str, Any]:
        model = self.backend.status()
        model.pop("running", None)  # of one engine; the requests are those of all
        url = self._tcp_url()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "uptime_s": round(time.monotonic() - self._began, 1),
            "backend": self._engines.kind,
            "socket": str(paths.socket_file()),
            "log": str(paths.log_file()),
            "journal": managed.JOURNAL if managed.writes_to_journal() else "",
            "config": str(paths.config_file()),
            "config_problem": self.configuration.problem,
            "config_pending": self._pending(),
            "tcp": {"url": url} if url else None,
            "model": model,
            "broken": [f"{bad.name}: {bad.path} {bad.reason}" for bad in self._store.broken()],
            "chat": self._engines.chat_status(),
            "gpu": self._engines.machine_status(),
            "power": self._power.status(),
            "requests": self.metrics.stages(),
            "last": list(self.metrics.last),
            "workspaces": self._workspaces.status(),
            "api": self._api_status(),
        }

    async def activity(self) -> Activity:
        """What it does this moment, for whoever watches."""
        return await look(self.status(), self.metrics, self.egress.ledger, self.judge.recent(1))

    def summary(self) -> str:
        """The same in a few words, for a service manager."""
        model = self.backend.status()
        return f"model {model['state']}, {model.get('running', 0)} requests"

    def _pending(self) -> dict[str, list[str]]:
        """What was edited and does not count yet: until the model is loaded, until the daemon starts."""
        at_load = effect(self._loaded_with, self._settings).at_load
        return {"at_load": list(at_load), "at_start": list(effect(self._began_with, self._settings).at_start)}

    def request_stop(self) -> None:
        self._stop()

    async def serve_tcp(self, port: int) -> str:
        return await self._serve_tcp(port)

    def token(self) -> str:
        """The bearer token of the TCP door, made on first use."""
        path = paths.token_file()
        try:
            with contextlib.suppress(FileNotFoundError):
                if token := path.read_text(encoding="ascii", errors="replace").strip():
                    return token  # an empty file, left by a full disk, would let everybody in
            token = secrets.token_urlsafe(32)
            path.unlink(missing_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(token)
        except OSError as exc:
            raise UsageError(
                f"cannot write {path}: {exc.strerror}", hint="Check the disk and the permissions."
            ) from exc
        return token

    def models(self) -> dict[str, Any]:
        known = catalog.load()
        return {
            **self.library.listing(),
            "starter": _offer(known.starter),
            "recommended": _offer(self._guide.first_choice()),
        }

    def guide(self) -> Guide:
        return self._guide

    async def load_model(self) -> str:
        """Have the current model in memory now; its name."""
        return await self._engines.load()

    def unload_model(self) -> bool:
        """Free the model's memory until the next request; False when there was none in it."""
        return self._engines.unload()

    async def use_model(self, name: str) -> str:
        model = self._store.use(name)
        self._switch.forget()
        await self.reload()
        return model.name

    def using(self, model: str) -> AbstractAsyncContextManager[None]:
        """`model`, "" for the current one, is loaded within the block. Raises NoModel when it is not installed."""
        if model and not self._engines.local:
            raise NoModel(f"the model {model!r} is not installed", hint="Only a script answers here.", wanted=model)
        if model:
            self._locate(model)
        return self._using("" if model == self._name_of(self._answering) else model)

    async def find_symbol(self, root: str, name: str) -> dict[str, Any]:
        """Where `name` is defined in the workspace `root`, which is indexed from now on; whole definitions."""
        await self._workspaces.open(root)
        report = await self._workspaces.ready(root, _INDEX_PATIENCE_S)
        found = await self._workspaces.symbol(root, name, limit=_MOST_DEFINITIONS)
        return {
            "state": report.state,
            "files": report.files,
            "found": [{"path": piece.path, "line": piece.line, "text": piece.text} for piece in found],
        }

    async def list_files(self, folder: str) -> dict[str, Any]:
        """The files below `folder` that may be read, with their sizes."""
        found = await asyncio.to_thread(listing.below, folder)
        return {"files": found}

    def _put_journal_in_order(self) -> None:
        """What a killed daemon left unfinished, and what is no longer to be kept."""
        try:
            self.log.recover()
        except (OSError, sqlite3.Error) as error:
            _logger.warning("the journal cannot be used", extra={"error": type(error).__name__})
        self._forget_texts()

    def _forget_texts(self) -> None:
        try:
            self._outcomes.forget_texts()
        except (OSError, sqlite3.Error) as error:
            _logger.warning("the journal cannot be used", extra={"error": type(error).__name__})

    def _with_team(self, local: Backend) -> Backend:
        """The team's engine in front of the local one, where there is one and it may be reached."""
        engine = self._settings.engine
        if not engine.url or (self._settings.offline and not _on_this_machine(engine.url)):
            return local
        here = _on_this_machine(engine.url)
        team = TeamEngine(engine, self.metrics, timeout=engine.max_seconds)
        return Fallback(team, local, may=lambda: here or not self._settings.offline)

    # --- the model to load ---

    @property
    def _answering(self) -> str:
        """The model for questions, as the settings name it."""
        return self._settings.engine.chat_model or self._settings.engine.model

    @contextlib.asynccontextmanager
    async def _using(self, model: str) -> AsyncIterator[None]:
        async with self._engines.question(), self._switch.using(model):
            yield

    def _load_of(self, wanted: str, *, chat: bool = True) -> frames.Load:
        """How to load `wanted`, "" for the store's current model. Raises NoModel when that is not there."""
        self._loaded_with = self._settings
        engine = self._settings.engine
        name, path, seal = self._locate(wanted)
        return frames.Load(
            name=name,
            path=str(path),
            context=engine.context,
            threads=engine.threads,
            gpu_layers=engine.gpu_layers,
            kv_type=engine.kv_type,
            exact=engine.exact,
            splice=engine.splice == "auto",
            fim=engine.fim,
            fim_tokens=engine.fim_tokens,
            fim_seconds=engine.fim_seconds,
            family=catalog.known().family_of(name),
            batch=engine.batch,
            snapshots=str(paths.snapshots_dir()),
            seal=seal,
            chat=chat,
        )

    def _locate(self, wanted: str) -> tuple[str, Path, Seal | None]:
        """A model's name, its file, and what that must be: a file named by its path may be any."""
        if os.sep in wanted or wanted.endswith(".gguf"):
            path = Path(wanted).expanduser()
            if not path.is_file():
                raise NoModel(
                    f"there is no file {path}",
                    hint="Correct the path: it is [engine] model, INGLE_MODEL or -m.",
                    wanted=wanted,
                )
            return path.stem, path, None
        installed = self._store.find(wanted) if wanted else self._store.current()
        if installed is None:
            if broken := self._store.broken():
                self._store.find(broken[0].name)  # which says what is wrong with it
            raise NoModel("no model is installed", hint="`ingle model pull` fetches one.", wanted="")
        return installed.name, installed.path, installed.seal

    def current_model(self) -> str:
        """The name of the model that answers, "" where there is none."""
        return self._name_of(self._settings.engine.model)

    def _name_of(self, wanted: str) -> str:
        try:
            return self._locate(wanted)[0]
        except NoModel:
            return ""

    async def _load(self, _: str) -> None:
        await self._engines.reload_answering()

    async def load_if_none(self) -> None:
        """Load the current model where none could be loaded so far."""
        if self._engines.completing.status()["state"] in ("none", "failed"):
            await self.reload()

    async def reload(self) -> None:
        """Load the current model anew."""
        await self._engines.reload()

    def _api_status(self) -> dict[str, Any]:
        model = next(iter(self.egress.candidates("default")), None)
        return {
            "configured": model is not None,
            "allowed": model is not None and self.egress.consented(model) == "given" and not self._settings.offline,
            "model": model.name if model else "",
            "offline": self._settings.offline,
        }


_INDEX_PATIENCE_S = 2.0
"""An answer that the index is not ready comes after so long; the client asks again, and can say that it waits."""
_MOST_DEFINITIONS = 5


def _offer(entry: catalog.Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "title": f"{entry.title} ({entry.quant.name})",
        "download_bytes": entry.download_bytes,
        "license": entry.license,
    }


def _measured_confidence(model: str) -> Calibration | None:
    measured = catalog.known().confidence_of(model)
    return Calibration(measured.bias, measured.weights) if measured else None


def _on_this_machine(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
