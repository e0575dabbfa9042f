"""The child process of `hub.py`: it downloads one file of a hub repository into the working directory.

The only importer of huggingface_hub, and where that library's errors become ours. It knows neither catalog nor store.
"""

from __future__ import annotations

import os
import re
import sys
import threading

import httpx2
import msgspec
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from ingle_daemon import __version__
from ingle_daemon.errors import NoModel
from ingle_daemon.models.fetching import printable
from ingle_daemon.models.hub import DiskFailed, Failed, Fetched, Found

__all__ = ["main"]

_STDIN = 0
_AGENT = f"ingle/{__version__}"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NETWORK_HINT = "Check the network, the proxy and HF_ENDPOINT, then try again."
_LOGIN_HINT = "`hf auth login` tells the hub who you are; so does HF_TOKEN, after `ingle stop`."


def main(repo: str, file: str) -> None:
    """Say what the hub has, wait for the word to go on, download it, say how that ended."""
    try:
        found = _find(repo, file)
        _say(found)
        if not os.read(_STDIN, 1):
            return  # our parent is gone
        threading.Thread(target=_end_with_parent, daemon=True).start()
        hf_hub_download(repo, file, revision=found.commit, local_dir=".", user_agent=_AGENT)
        _say(Fetched())
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as exc:
        _say(_failure(repo, file, exc))


def _say(message: Found | Fetched | Failed | DiskFailed) -> None:
    sys.stdout.write(msgspec.json.encode(message).decode() + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    """A parent that is killed cannot kill us: its end of our standard input closes then."""
    os.read(_STDIN, 1)
    os._exit(1)


def _find(repo: str, file: str) -> Found:
    metadata = get_hf_file_metadata(hf_hub_url(repo, file), user_agent=_AGENT)
    if metadata.commit_hash is None or metadata.size is None:
        raise OSError(f"{constants.ENDPOINT} does not answer as a hub does")
    digest = metadata.etag or ""
    return Found(
        commit=metadata.commit_hash,
        size_bytes=metadata.size,
        sha256=digest if _SHA256.fullmatch(digest) else "",  # of a large file; a small one's etag is a git hash
    )


def _failure(repo: str, file: str, exc: Exception) -> Failed | DiskFailed:
    if isinstance(exc, OSError) and exc.errno:
        return DiskFailed(errno=exc.errno)
    # The library calls it a missing local file when it cannot ask the hub; the cause is what happened.
    cause = exc.__cause__ if isinstance(exc, LocalEntryNotFoundError) and exc.__cause__ else exc
    return Failed(error=_explain(repo, f"{file} of {repo}", cause).to_wire())


def _explain(repo: str, what: str, exc: BaseException) -> NoModel:
    if isinstance(exc, GatedRepoError):
        return NoModel(
            f"{repo} is gated: the hub gives it only to those who have accepted its licence",
            hint=f"Accept it at {printable(constants.ENDPOINT)}/{repo}. {_LOGIN_HINT}",
        )
    if isinstance(exc, OfflineModeIsEnabled):
        return NoModel(f"cannot fetch {what}: HF_HUB_OFFLINE is set", hint="Unset it, `ingle stop`, and try again.")
    if isinstance(exc, HfHubHTTPError):
        return _refusal(what, exc.response.status_code)
    reason = (str(exc) or type(exc).__name__).splitlines()[0]
    return NoModel(f"cannot fetch {what}: {printable(reason)}", hint=_NETWORK_HINT)


def _refusal(what: str, status: int) -> NoModel:
    if status == 404:
        return NoModel(
            f"the hub has no {what}",
            hint="It may have been moved, or HF_ENDPOINT names a hub that lacks it. Choose another model.",
        )
    if status in (401, 403):
        return NoModel(
            f"the hub refuses {what}: HTTP {status}",
            hint=f"The repository is gone or private, or your token is not valid. {_LOGIN_HINT}",
        )
    return NoModel(f"the hub cannot deliver {what}: HTTP {status}", hint="Try again later.")


if __name__ == "__main__":
    main(*sys.argv[1:])
