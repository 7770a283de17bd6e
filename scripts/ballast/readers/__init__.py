"""Readers: one file per source schema. A reader is `read(path) -> rows` and knows nothing about Ballast's ids.

A reader for people's own files names its FORM and is `read(path, columns, unreadable)`: `columns` maps a part to its
column, and `unreadable` is the share of rows that may be left out.
"""
