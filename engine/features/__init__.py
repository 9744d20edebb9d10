"""What can be computed from closed bars alone: indicators for people and features for models."""
