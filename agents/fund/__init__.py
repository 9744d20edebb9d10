"""Funds: investment accounts that hold units of an agent's book."""
