"""The workspace index: what the code around a completion defines, and what resembles it."""
