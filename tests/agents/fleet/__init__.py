"""Tests of agents.fleet."""
