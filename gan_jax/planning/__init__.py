"""Memory and time of a round on machines that are not at hand."""
