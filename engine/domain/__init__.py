"""Values, protocols and errors that every other part of the project speaks in."""
