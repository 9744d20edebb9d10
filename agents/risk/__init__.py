"""The risk gate: limits, what an order does to them, and a refusal with reasons."""
