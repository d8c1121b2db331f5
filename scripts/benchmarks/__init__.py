"""Speed and memory of the project beside plain PyTorch, and its numbers on an accelerator.

`cases` are the measured functions, `twins` the same in PyTorch, `counts` their FLOPs counted by
hand; `measure` times a case in this process, `rows` times what has no twin, and `table` runs every
case in processes of its own and writes a page. `opponents` are PyTorch's ways to play a twin.
`scripts/benchmark.py` is the command line.

Of `scripts/accelerator.py`, `agreement` compares the small `games` on an accelerator and on the
CPU, `speed` times a case on it, and `flagship` trains a recipe; `jobs` runs each in processes of
its own, `device` says what is there, `accelerator_report` writes the page, and `requirements` takes
what a Python lacks from wheels.
"""
