"""Readers: one file per source schema. A reader is `read(path) -> rows` and knows nothing about Ballast's ids.

A reader for people's own files names its FORM and is `read(path, columns, unreadable, where)`: `columns` maps a part to
its column, `unreadable` is the share of rows that may be left out, `where` the values that columns must have. A reader
that leaves rows out counts them by reason in the table's `attrs["left_out"]`.
"""
