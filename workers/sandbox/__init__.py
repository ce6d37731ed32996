"""What an agent may write and reach while it runs, and the proof of it.

`box.py` says what one sandbox lets in, `strict.py` and `restricted.py` make it so, `start.py` runs a command in it,
`trials.py` and `receipt.py` try from inside what must not be possible. `inside/` is what runs within, before the command.
Nothing here needs more than the standard library, so that any Python of the machine can try it: `python -m workers.sandbox`.
"""
