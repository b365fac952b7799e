"""craftnet: live crafting progress, station queues and material shortages over WebSocket and UDP."""

__version__ = "0.1.0"
