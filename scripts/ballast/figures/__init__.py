"""Figures: one file each. A figure is `draw(options, paths) -> style.Drawn`; its constants are those of a table."""
