"""How a watch is shown."""
