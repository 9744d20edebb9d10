"""Tests of the checker of a model's text."""
