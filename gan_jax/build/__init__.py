"""From an Experiment's names to objects: games, networks, optimisers, stages."""
