"""Readers: one file for each source schema. A reader is `read(path) -> rows` and knows nothing of Ballast's ids."""
