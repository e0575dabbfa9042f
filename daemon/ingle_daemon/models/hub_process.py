"""The child process that downloads one file of a repository of the Hugging Face hub, or says which files it has.

Where the hub library's errors become ours. It knows neither catalog nor store.
"""

from __future__ import annotations

import re

import httpx2
from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError
from huggingface_hub.utils import build_hf_headers

from ingle_daemon.errors import IngleError, NoModel
from ingle_daemon.models import transfer
from ingle_daemon.models.download import Found, Job, Listed
from ingle_daemon.models.fetching import printable

__all__ = ["main"]

_MOST_FILES = 10_000
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NETWORK_HINT = "Check the network, the proxy and HF_ENDPOINT, then try again."
_LOGIN_HINT = "`hf auth login` tells the hub who you are; so does HF_TOKEN, after `ingle stop`."


def main() -> None:
    """Do the job that is told on standard input."""
    transfer.use_client()
    transfer.run(_fetch, _failure)


def _fetch(job: Job) -> None:
    if not job.file:
        files = transfer.patiently(lambda: HfApi().list_repo_files(job.repo))
        transfer.say(Listed(files=tuple(file for file in files if file.lower().endswith(".gguf"))[:_MOST_FILES]))
        return
    found, commit = transfer.patiently(lambda: _find(job))
    # The address of the hub again, not the one that it redirects to: that one is valid for a few minutes.
    url = hf_hub_url(job.repo, job.file, revision=commit)
    transfer.download(url, build_hf_headers(user_agent=transfer.AGENT), found)


def _find(job: Job) -> tuple[Found, str]:
    metadata = get_hf_file_metadata(hf_hub_url(job.repo, job.file), user_agent=transfer.AGENT)
    if metadata.commit_hash is None or metadata.size is None:
        raise OSError(f"{constants.ENDPOINT} does not answer as a hub does")
    digest = metadata.etag or ""
    found = Found(
        size_bytes=metadata.size,
        sha256=digest if _SHA256.fullmatch(digest) else "",  # of a large file; a small one's etag is a git hash
        version=digest,
        origin=f"{job.repo}/{job.file}@{metadata.commit_hash}",
    )
    return found, metadata.commit_hash


def _failure(job: Job, exc: Exception) -> IngleError:
    what = f"{job.file} of {job.repo}" if job.file else job.repo
    if isinstance(exc, GatedRepoError):
        return NoModel(
            f"{job.repo} is gated: the hub gives it only to those who have accepted its licence",
            hint=f"Accept it at {printable(constants.ENDPOINT)}/{job.repo}. {_LOGIN_HINT}",
        )
    if told := transfer.explain(what, exc):
        return told
    if isinstance(exc, HfHubHTTPError):
        return _refusal(what, exc.response.status_code)
    if isinstance(exc, httpx2.InvalidURL):
        return NoModel(f"HF_ENDPOINT is no address: {transfer.reason(exc)}", hint="Correct it, and `ingle stop`.")
    return NoModel(f"cannot fetch {what}: {transfer.reason(exc)}", hint=_NETWORK_HINT)


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
    main()
