"""Faults of Redis, the network, clocks and processes, and what players see of them."""
