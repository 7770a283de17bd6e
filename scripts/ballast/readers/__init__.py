"""Readers: one file for each source schema. A reader is `read(path) -> rows` and knows nothing of Ballast's ids.

A reader of forms that people's own files have too names its FORM: it is `read(path, columns, unreadable)`, where
`columns` says which column holds a part, and `unreadable` which share of the rows may be left out.
"""
