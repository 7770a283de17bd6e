"""The study: its config, methods, runs, sources, and what each table is told."""
