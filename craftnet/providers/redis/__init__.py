"""The Redis back end: state and changes in one Redis that any number of nodes share."""
