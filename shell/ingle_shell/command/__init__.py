"""`ask -s`: one command for what was asked, checked before it is shown, run only by the user's own hand.

suggestion.py  what the model is told, and the command in what it answers
disguise.py    a suggestion without what could make it read differently from how it runs
shells.py      the user's shell: which one it is, what it knows, what it says of a command's syntax
syntax.py      a command's calls, redirections and oddities, by a parser of the shell's language
risk.py        what a command does at worst: a pure function of those, never the model's word
flags.py       which options a program documents
verify.py      all checks of one suggestion
card.py        how they read
menu.py        run, edit, copy, explain, refine, or, unless one of these was chosen, nothing
run.py         runs it in the user's shell
flow.py        all of it, in turn
"""
