"""Where a request runs, and why."""
