"""Measure how far the picks of PSS-B and Cossim depend on choices that the paper leaves open, on real files.

    python benchmarks/choices.py --pool POOL --references REFERENCES [--against OTHER_REFERENCES]

Behaviour is the rule on opening words, the category of a row is that of the nearest references, the encoder is MiniLM.
It prints the share of picks that two choices have in common, by n: for PSS-B with the centroid over all rows of a
category and over its T1 rows, and for Cossim with the references of two files. Without `--against` halves stand for two
files: each category's references are split at random, 20 times, and the picks of one half are compared with those of
the other. References are BeaverTails files; rows of exactly one category count.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from ballast import api  # noqa: E402
from ballast.readers import beavertails  # noqa: E402

SIZES = (50, 100, 150, 250, 350, 500, 1000)
SPLITS = 20


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--references", type=Path, required=True)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    given = parser.parse_args(arguments)
    pool = pd.DataFrame(json.loads(given.pool.read_text())).drop_duplicates(ignore_index=True)
    references = embedded(given.references)
    known = {"behaviour": api.label(pool), "embedding": api.embed(pool)}
    nearest = known["embedding"] @ means(references).T
    known["category"] = nearest.argmax(axis=1)
    shares = {"pss-b": centroids(pool, known, given.sizes)}
    pairs = [(references, embedded(given.against))] if given.against else halves(references)
    for sampler in ("cossim", "cossim-b"):
        shares[sampler] = compared(pool, known, sampler, pairs, given.sizes)
    table = [[name, *(f"{share:.2f}" for share in found)] for name, found in shares.items()]
    print(f"{len(pool)} rows, {int((known['behaviour'] == 'T1').sum())} of them T1; {len(references[0])} references")
    print(tabulate(table, ["share of picks in common", *given.sizes], tablefmt="pipe", disable_numparse=True))
    return shares


def embedded(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the embeddings and the category of each reference."""
    rows = beavertails.read(str(path))
    return api.embed(rows[["instruction", "input", "output"]]), rows["category"].to_numpy()


def means(references: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    vectors, categories = references
    return np.stack([vectors[categories == category].mean(axis=0) for category in range(14)])


def halves(references: tuple[np.ndarray, np.ndarray]):
    """Return pairs of disjoint halves of each category's references, drawn at random."""
    vectors, categories = references
    drawn = []
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(len(categories))
        rank = pd.Series(categories[order]).groupby(categories[order]).cumcount().to_numpy()
        drawn.append([(vectors[half], categories[half]) for half in (order[rank % 2 == 0], order[rank % 2 == 1])])
    return drawn


def centroids(pool: pd.DataFrame, known: dict, sizes) -> list[float]:
    every, eligible = (picks(pool, "pss-b", max(sizes), known, centroid=over) for over in ("all", "eligible"))
    return [shared(every, eligible, n) for n in sizes]


def compared(pool: pd.DataFrame, known: dict, sampler: str, pairs, sizes) -> list[float]:
    both = [[picks(pool, sampler, max(sizes), known | {"references": each}) for each in pair] for pair in pairs]
    return [float(np.mean([shared(*pair, n) for pair in both])) for n in sizes]


def picks(pool: pd.DataFrame, sampler: str, n: int, known: dict, **options) -> list[int]:
    return api.select(pool, sampler, n, **known, options=options).index.tolist()


def shared(first: list[int], second: list[int], n: int) -> float:
    """Return the share of the first n picks that both have."""
    return len({*first[:n]} & {*second[:n]}) / n


if __name__ == "__main__":
    main()
