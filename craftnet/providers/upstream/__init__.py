"""A back end whose state is another craftnet's: this server is an edge of that core."""
