"""The study: its config, methods, runs, sources, and the options of each table."""
