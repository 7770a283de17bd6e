"""dsir: rows drawn by how much likelier their words are in the target than in the pool (Xie et al., arXiv 2302.03169).

Words and pairs of neighbouring words are hashed into 10,000 buckets; target and pool are each a distribution over them
(section 3), and a row's log-weight is the sum over its n-grams of log p_target - log p_pool. Rows are drawn without
replacement in proportion to their weights: the highest log-weight + Gumbel noise come first, so subsets are nested.

The default target is the pool's T1 rows, the behaviour that keeps a model safe: a soft way to pick T1 from words alone.
The other target is the base data, for safety rows in the words of the task; it is the default among rows of one
behaviour. The text is a row's request and response. CPU seconds for thousands of rows, minutes for 333,963.
"""

import hashlib
import re
import zlib

import numpy as np

from ballast.data.rows import pair_text
from ballast.picks.selection import DIGITS, Selection, first

NEEDS = ("behaviour", "texts", "base-texts")
SEEDED = True
OPTIONS = {"target": (("t1", "base"), "Rows to imitate: the pool's T1 rows, or the base data.")}
AMONG = {"target": (("base", "t1"), "Rows to imitate; T1 is no target to T1 rows.")}
BUCKETS = 10_000
WORDS = re.compile(r"\w+|[^\w\s]+")
LEAST = 1e-8  # added to each probability, as in the authors' code


def select(pool, features, n, seed, options) -> Selection:
    """Pick the n rows with the highest keys, ties to 6 digits by id; raise BallastError if the target has no row."""
    texts = features.texts[features.texts["id"].isin(pool["id"])]
    if options["target"] == "base":
        target = features.base_texts
    else:
        refusals = features.with_behaviour(features.pool, "T1")
        target = features.texts[features.texts["id"].isin(refusals["id"])]
    weights = log_weights(
        [pair_text(row) for row in texts.itertuples()], [pair_text(row) for row in target.itertuples()]
    )
    keys = {row: round(weight + _gumbel(row, seed), DIGITS) for row, weight in zip(texts["id"], weights, strict=True)}
    return first(sorted(keys, key=lambda row: (-keys[row], row)), n)


def log_weights(texts: list[str], target: list[str]) -> list[float]:
    """Return log p_target / p_pool of each text; `texts` are the pool."""
    counted = [_ngrams(text) for text in texts]
    pool, wanted = _distribution(counted), _distribution([_ngrams(text) for text in target])
    ratio = np.log(wanted + LEAST) - np.log(pool + LEAST)
    return [float(counts @ ratio[buckets]) for buckets, counts in counted]


def _ngrams(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the buckets of a text's words and pairs of words, and their counts."""
    words = WORDS.findall(text.lower())
    grams = words + [f"{one} {other}" for one, other in zip(words, words[1:], strict=False)]
    return np.unique([zlib.crc32(gram.encode()) % BUCKETS for gram in grams], return_counts=True)


def _distribution(counted: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    total = np.zeros(BUCKETS)
    for buckets, counts in counted:
        total[buckets.astype(int)] += counts
    return total / max(total.sum(), 1)


def _gumbel(row: str, seed: int) -> float:
    """Return a standard Gumbel draw that depends on the seed and the row alone."""
    drawn = int.from_bytes(hashlib.sha256(f"{seed}|{row}".encode()).digest()[:8], "big")
    return -float(np.log(-np.log((drawn + 0.5) / 2**64)))
