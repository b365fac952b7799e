"""`craftnet analyse`: what a recording says about crafts, queues, materials and networks."""
