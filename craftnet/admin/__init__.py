"""The administrators' view of running servers, and the operators' actions."""
