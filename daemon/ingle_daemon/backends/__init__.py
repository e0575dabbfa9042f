"""Where answers come from: the local engine, a remote one, or a script."""
