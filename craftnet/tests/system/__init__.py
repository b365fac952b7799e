"""Tests of the whole service, of several processes and nodes, and of the benchmarks."""
