"""`ingle doctor`: what a support person would ask, asked by the program itself.

`gather.py` finds out and judges nothing; `checks.py` judges and finds out nothing; `facts.py` is what goes between;
`bundle.py` is what of it may be shown to a stranger.
"""
