"""What may touch a venue: the risk gate, execution and, later, the three trading agents."""
