"""Speed and memory of the project beside plain PyTorch on the CPU.

`cases` are the measured functions, `twins` the same in PyTorch, `counts` their FLOPs counted by
hand; `measure` times a case in this process, `rows` times what has no twin, and `table` runs every
case in processes of its own and writes a page. `scripts/benchmark.py` is the command line.
"""
