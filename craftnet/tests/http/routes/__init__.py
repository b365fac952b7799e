"""Tests of `craftnet.http.routes`."""
