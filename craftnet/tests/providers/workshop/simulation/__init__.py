"""Tests of `craftnet.providers.workshop.simulation`."""
