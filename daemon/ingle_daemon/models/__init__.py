"""Models: which ones are known, which ones are here, how they get here, and whether a file is one."""
