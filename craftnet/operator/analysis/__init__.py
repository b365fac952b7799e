"""`craftnet analyse`: answers questions about recorded crafts, queues, materials and networks."""
