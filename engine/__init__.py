"""The market without agents or chat: data, features, models, simulation and exact accounting."""
