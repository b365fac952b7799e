"""Tests of `craftnet.crafting`."""
