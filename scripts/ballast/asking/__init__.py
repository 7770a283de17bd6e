"""Ask models: prompts, decoding, endpoints, and a store of answers."""
