"""Tests of `craftnet.protocols`."""
