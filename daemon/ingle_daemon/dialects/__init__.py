"""Public HTTP shapes, each translated to protocol.py and back. A dialect knows no engine."""
