"""Run the packaged MiniLM in numpy: the encoder of an environment without torch (`make init`).

Its unit embeddings differ from those of sentence-transformers by less than 1e-6, at 1.3 times the CPU time. The network
is BERT of 6 layers (arXiv 1810.04805); an embedding is the mean over the last layer's tokens (arXiv 1908.10084).
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from scipy.special import erf
from tokenizers import Tokenizer

from ballast.files import read_json


class MiniLM:
    """The encoder in a folder, with the part of sentence-transformers' interface that `embedding.py` calls."""

    def __init__(self, folder: str | Path):
        folder = Path(folder)
        self.config = read_json(folder / "config.json")
        self.max_seq_length = read_json(folder / "sentence_bert_config.json")["max_seq_length"]
        self.weights = load_file(folder / "model.safetensors")
        self.words = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.words.no_padding()
        self.words.enable_truncation(self.max_seq_length)

    def get_embedding_dimension(self) -> int:
        return self.config["hidden_size"]

    def tokenizer(self, texts: list[str], **cut) -> dict[str, list[list[int]]]:
        """Return the token ids of each text, cut at the model's own limit."""
        return {"input_ids": [found.ids for found in self.words.encode_batch(texts)]}

    def encode(self, texts: list[str], **settings) -> np.ndarray:
        """Return unit embeddings of one batch, float32, shape texts x dimensions."""
        rows = self.tokenizer(texts)["input_ids"]
        there = np.arange(max(map(len, rows))) < np.array([[len(row)] for row in rows])
        tokens = np.zeros(there.shape, dtype=int)
        tokens[there] = np.concatenate(rows)
        last = self._last_layer(tokens, there)
        mean = (
            np.where(there[:, :, None], last, np.float32(0)).sum(axis=1) / there.sum(axis=1, dtype=np.float32)[:, None]
        )
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def _last_layer(self, tokens: np.ndarray, there: np.ndarray) -> np.ndarray:
        """Return the last layer's states, texts x tokens x dimensions; `there` is False at padding."""
        word, position, kind = (
            self.weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
        )
        states = self._normal("embeddings", word[tokens] + position[: tokens.shape[1]] + kind[0])
        for layer in range(self.config["num_hidden_layers"]):
            name = f"encoder.layer.{layer}"
            attended = self._linear(f"{name}.attention.output.dense", self._attention(name, states, there))
            states = self._normal(f"{name}.attention.output", states + attended)
            wide = self._linear(f"{name}.intermediate.dense", states)
            wide *= (1 + erf(wide * np.float32(0.5**0.5))) * np.float32(0.5)  # GELU
            states = self._normal(f"{name}.output", states + self._linear(f"{name}.output.dense", wide))
        return states

    def _attention(self, name: str, states: np.ndarray, there: np.ndarray) -> np.ndarray:
        texts, tokens, dimensions = states.shape
        heads = self.config["num_attention_heads"]
        query, key, value = (
            self._linear(f"{name}.attention.self.{part}", states)
            .reshape(texts, tokens, heads, -1)
            .transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) * np.float32((dimensions // heads) ** -0.5)
        scores = np.where(there[:, None, None, :], scores, np.float32(-np.inf))
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return (shares @ value).transpose(0, 2, 1, 3).reshape(states.shape)

    def _linear(self, name: str, states: np.ndarray) -> np.ndarray:
        flat = states.reshape(-1, states.shape[-1]) @ self.weights[f"{name}.weight"].T
        return (flat + self.weights[f"{name}.bias"]).reshape(*states.shape[:-1], -1)

    def _normal(self, name: str, states: np.ndarray) -> np.ndarray:
        centred = states - states.mean(axis=-1, keepdims=True)
        spread = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(self.config["layer_norm_eps"]))
        weight, bias = (self.weights[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return centred / spread * weight + bias
