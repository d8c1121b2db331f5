"""One function per game: it takes networks and returns a `Game`."""
