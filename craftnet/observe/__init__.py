"""Observation of the service: metrics, health, logs, traces, and the audit log."""
