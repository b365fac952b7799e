"""The Redis back end: state and changes in one Redis, shared by any number of nodes."""
