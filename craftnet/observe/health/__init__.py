"""Health: checks, probes, reports and the health feed."""
