"""`ingle bench`: installed models beside each other on this machine, through the daemon that everybody uses.

`measure.py` asks the daemon and takes times; `results.py` makes figures and a table of them, and asks nobody;
`questions.toml` is the small set of questions with one right answer.
"""
