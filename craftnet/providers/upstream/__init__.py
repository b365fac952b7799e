"""A back end that follows the state of another craftnet: this server is an edge, the other its core."""
