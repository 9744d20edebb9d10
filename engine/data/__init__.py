"""Input and output: the database, the columnar store of bars, and ingestion."""
