"""What operators observe: metrics and health."""
