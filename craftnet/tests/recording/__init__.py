"""Tests of `craftnet.recording`."""
