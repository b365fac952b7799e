"""The messages between a core and its edges."""
