"""Questions that nodes ask each other, and the regions of nodes."""
