"""Tests for `craftnet.http.description`."""
