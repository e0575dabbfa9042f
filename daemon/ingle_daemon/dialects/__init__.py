"""Public HTTP shapes, each translated to protocol and back. A dialect knows no engine."""
