"""Reads the authority's events from a message bus."""
