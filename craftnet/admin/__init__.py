"""What administrators see of running servers, and what operators do to them."""
