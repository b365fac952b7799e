"""craftnet: live crafting progress, station queues and material shortages over WebSocket and UDP."""

from importlib.metadata import version

__version__ = version("craftnet")
