"""The last command that failed, as the shell integration remembers it. Nothing is run again.

The command and its exit code come from the shell's hook, its output from where the user allowed it (`capture.py`).
Secrets are taken out of all of it, wherever the question goes.
"""

from __future__ import annotations

from collections.abc import Mapping

from ingle_daemon.errors import UsageError
from ingle_shell.capture import output_of
from ingle_shell.secrets import without_secrets

__all__ = ["last_failure"]


def last_failure(environment: Mapping[str, str]) -> str:
    """What is known of it, as text for a model. Raises UsageError where nothing is."""
    command, status = environment.get("INGLE_LAST_COMMAND", ""), environment.get("INGLE_LAST_STATUS", "")
    if not environment.get("INGLE_SHELL"):
        raise UsageError(
            "the shell does not say which command failed",
            hint='Put this in its start-up file: eval "$(ingle init bash)", or zsh, or: ingle init fish | source',
        )
    if not command:
        raise UsageError("no command has failed in this shell yet", hint="Ask again when one has.")
    text = f"This {environment['INGLE_SHELL']} command failed with exit code {status}:\n\n{command}"
    if output := output_of(command, environment):
        text += f"\n\nThe end of what it printed:\n\n{output}"
    return without_secrets(text)
