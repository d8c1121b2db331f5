"""Plans: memory and time of a round on accelerators that are not at hand.

The round that trains is lowered or compiled ahead of time for the devices of a slice, from shapes
alone. `chips` holds published peaks and slices, `lowering` makes the program, `compiler` compiles
it, `hlo` reads the compiler's text, `plan` summarises, `search` makes the plans of a recipe for a
`request`,
`report` prints a plan, `table` prints many, and `isolated` plans in a process of its own.
"""
