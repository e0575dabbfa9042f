"""The resident daemon, its engine worker, and the client side that front ends import."""

__version__ = "0.1.0"
PROTOCOL = 1
"""What clients and the daemon say to each other. One more when a client of before would misunderstand, or be so."""
