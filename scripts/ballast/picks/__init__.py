"""Load features of rows, and order the rows for samplers."""
