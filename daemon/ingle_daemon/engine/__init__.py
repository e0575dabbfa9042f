"""The engine worker: one process, one loaded model, many sequences."""
