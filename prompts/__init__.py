"""Words: one folder per language, plain files, and one small loader."""
