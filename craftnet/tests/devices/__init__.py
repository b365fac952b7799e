"""Tests for `craftnet.devices`."""
