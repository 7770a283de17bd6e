"""Datasets: files as people have them, rows, templates, what comes from outside and what goes out."""
