"""What a person or a model may ask: typed tools, tickets and the registry that lists them."""

import tools.results as _results  # noqa: F401  # first: results in files of their own are built on it
