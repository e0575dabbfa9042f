"""The resident daemon, its engine worker, and the client side that front ends import."""

__version__ = "0.1.0"
