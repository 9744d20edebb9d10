"""Tests of agents.journal."""
