"""Asking models: prompts, decoding, endpoints, what is kept of answers."""
