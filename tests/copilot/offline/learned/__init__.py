"""Tests of the learned model and of the decision it shares with the grammar."""
