"""Publish adapters, subsets and studies on the Hugging Face hub: `ballast push`."""
