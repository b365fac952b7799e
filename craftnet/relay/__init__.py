"""What a core and its edges say to each other."""
