"""Tests of `craftnet.http.connection`."""
