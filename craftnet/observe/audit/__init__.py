"""Security events: their types, their listeners, and the audit log that records them."""
