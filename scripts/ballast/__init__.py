"""Ballast: which few safety examples keep a fine-tuned model safe, and how many?"""
