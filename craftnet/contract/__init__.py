"""The public contract: what is exchanged as JSON and in URLs. Pure."""
