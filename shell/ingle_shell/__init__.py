"""The shell front end: `ask` and `ingle`. It stands on the daemon's client side alone."""
