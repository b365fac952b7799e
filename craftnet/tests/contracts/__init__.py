"""Suites that every provider passes; third parties run them on theirs."""
