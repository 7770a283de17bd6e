"""Picking: features of rows, and the order in which samplers take them."""
