"""What nodes ask each other, and the regions that they are in."""
