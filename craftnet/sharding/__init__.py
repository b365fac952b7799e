"""Several processes that each keep the state of some of the players and act as one server."""
