"""Read, fetch, check and export datasets and prompt templates."""
