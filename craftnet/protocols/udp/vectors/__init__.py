"""Test vectors for other implementations: `python -m craftnet.protocols.udp.vectors`."""
