"""The subcommands of `ingle`, one module a subject. Each has `add(commands)`, which declares what it takes.

A command asks the daemon and returns what it answered; `control.main` prints that, for people or as JSON.
"""
