"""What the service writes to its log, and how."""
