"""The test suite: run it with `trial craftnet`."""
