"""Measure selection and embedding on one thread of a CPU.

    python benchmarks/selection.py --pool pool.json --out selection.json    # full size: 1 GB of disk, a minute
    python benchmarks/selection.py --size tiny                              # only to check that it runs

Parts: `scores` picks with cossim, pss and sss from random unit vectors, one per row of BeaverTails, and compares cossim
with the full matrix of cosines in float64, measured on a few rows and extrapolated to all. `embedding` compares with a
plain call of `encode`, on the pairs of `--pool` or on made texts, and with the time of the matrix products alone. Files
are written to `--folder` and removed.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from tabulate import tabulate
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from ballast import plugins  # noqa: E402
from ballast.picks import vectors  # noqa: E402
from ballast.picks.nearest import mean_units, one_hot  # noqa: E402
from ballast.picks.selection import DIGITS, Features, pick  # noqa: E402

CATEGORIES = 14
OPTIONS = {"multilabel": "first-taken", "centroid": "eligible"}
LIBRARIES = ("numpy", "pandas", "pyarrow", "torch", "sentence-transformers", "transformers")


@dataclass(frozen=True)
class Size:
    """Rows of the pool, references per category, rows of the full matrix, and texts to embed."""

    rows: int = 333_963
    references: int = 20_000
    dimensions: int = 768
    n: int = 1000
    matrix_rows: int = 128
    texts: int = 300


SIZES = {"full": Size(), "tiny": Size(rows=900, references=20, dimensions=32, n=50, matrix_rows=16, texts=12)}


def main(arguments: list[str] | None = None) -> dict:
    parts = {"scores": scores, "embedding": embedding}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where the temporary files lie")
    parser.add_argument("--pool", help="pairs to embed, as JSON in Alpaca's format; made texts without it")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    chosen = parser.parse_args(arguments)
    report = machine() | {"size": chosen.size, "results": []}
    with threadpool_limits(1):
        for part in chosen.parts:
            rows = list(parts[part](SIZES[chosen.size], chosen))
            report["results"] += [{"part": part} | row for row in rows]
            print(tabulate(rows, headers="keys", floatfmt=".4g", missingval="-"), "\n", flush=True)
            if chosen.out:
                chosen.out.write_text(json.dumps(report, indent=1) + "\n")
    return report


def machine() -> dict:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {
        "device": f"{model}, one thread",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def scores(size: Size, chosen: argparse.Namespace) -> Iterator[dict]:
    """Yield the cost of the references' means, and of each sampler after its features are loaded."""
    count = CATEGORIES * size.references
    with scratch(chosen.folder, 2 * size.dimensions * (size.rows + count)) as folder:
        write_random(folder / "pool.arrow", size.rows, size.dimensions)
        write_random(folder / "references.arrow", count, size.dimensions)
        references, own = vectors.read(folder / "references.arrow"), np.arange(count) % CATEGORIES
        with measured() as loading:
            means = mean_units(references, references.ids, one_hot(own))
        yield {"way": "references to their means"} | loading
        del references
        embedded = vectors.read(folder / "pool.arrow")
        pool = pd.DataFrame({"id": embedded.ids})
        features = Features(categories=made_categories(pool["id"]), embedding=embedded, references=means)
        found = {}
        for sampler in ("cossim", "pss", "sss"):
            with measured() as found[sampler]:
                pick(plugins.load("samplers", sampler), pool, features, size.n, 0, OPTIONS)
        # The comparison takes its own memory, so it comes last.
        units, references = embedded.units(np.arange(size.matrix_rows)), vectors.read(folder / "references.arrow")
        with measured() as plain:
            full = full_matrix(units, references, own)
        slow, took = plain["cpu_s"] * size.rows / size.matrix_rows, found["cossim"]["cpu_s"]
        found["cossim"] |= {"full_matrix_cpu_s_extrapolated": slow, "times": slow / took}
        found["cossim"] |= {"times_with_references": slow / (took + loading["cpu_s"])}
        found["cossim"] |= {"largest_difference": float(np.abs(full - units @ means.T).max())}
        found["cossim"] |= {"as_in_full_matrix": bool((nearest(full) == nearest(units @ means.T)).all())}
        yield from ({"way": sampler} | row for sampler, row in found.items())


def full_matrix(units: np.ndarray, references: vectors.Vectors, own: np.ndarray) -> np.ndarray:
    """Return the mean cosine of some rows to each category's references, from all cosines in float64."""
    each = (references.units(np.flatnonzero(own == category)) for category in range(CATEGORIES))
    return np.stack([(units @ some.T).mean(axis=1) for some in each], axis=1)


def nearest(found: np.ndarray) -> np.ndarray:
    return np.round(found, DIGITS).argmax(axis=1)


def embedding(size: Size, chosen: argparse.Namespace) -> Iterator[dict]:
    """Yield the cost of a plain call and of ours, with the same model."""
    import torch
    from transformers.utils import logging

    from ballast.data.rows import pair_text
    from ballast.picks import embedding as ours
    from ballast.readers import alpaca
    from ballast.study.sections import Embedding

    torch.set_num_threads(1)
    logging.disable_progress_bar()
    texts = [pair_text(row) for row in alpaca.read(chosen.pool).itertuples()] if chosen.pool else made_texts()
    texts = texts[: size.texts]
    encoder = ours.load(ours.MINILM)
    encoder.encode(texts[:8])
    with measured() as plain:
        theirs = encoder.encode(texts, normalize_embeddings=True)
    yield {"way": "encode(texts)"} | plain
    with measured() as found:
        matrix = ours.encode(encoder, texts, Embedding().batch_size)
    compared = {"times": plain["cpu_s"] / found["cpu_s"], "largest_difference": float(abs(matrix - theirs).max())}
    yield {"way": "length-sorted batches"} | found | compared
    least = least_seconds(encoder, sum(ours.token_counts(encoder, texts)))
    yield {"way": "matrix products of its tokens alone", "cpu_s": least, "times": plain["cpu_s"] / least}


def least_seconds(encoder, tokens: int) -> float:
    """Return the CPU seconds of the model's matrix products over some tokens, at the rate of its largest one."""
    import torch

    weights = [module.weight for module in encoder.modules() if isinstance(module, torch.nn.Linear)]
    largest = max(weights, key=torch.numel)
    batch = torch.randn(1024, largest.shape[1])
    rates = []
    with torch.inference_mode():
        for _ in range(10):
            begin = time.process_time()
            for _ in range(5):
                torch.nn.functional.linear(batch, largest)
            rates.append(5 * len(batch) * largest.numel() / (time.process_time() - begin))
    return tokens * sum(weight.numel() for weight in weights) / max(rates)


@contextmanager
def scratch(folder: str, needed: int) -> Iterator[Path]:
    """Make a temporary folder, if there is room for `needed` bytes and a tenth more."""
    free = shutil.disk_usage(folder).free
    if free < 1.1 * needed:
        sys.exit(
            f"{folder}: {free / 1e9:.1f} GB free, and this needs {1.1 * needed / 1e9:.1f}; make room, name another "
            "--folder, or take a smaller --size"
        )
    with tempfile.TemporaryDirectory(dir=folder) as name:
        yield Path(name)


@contextmanager
def measured() -> Iterator[dict]:
    """Measure a block: CPU and wall seconds, and the peak of resident memory in GiB, mapped files included."""
    found = {}
    Path("/proc/self/clear_refs").write_text("5")  # Linux resets the peak to the current resident memory
    wall, cpu = time.perf_counter(), time.process_time()
    yield found
    found |= {"cpu_s": round(time.process_time() - cpu, 4), "wall_s": round(time.perf_counter() - wall, 4)}
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    found["peak_gib"] = round(int(status["VmHWM"].split()[0]) / 2**20, 2)


def write_random(path: Path, rows: int, dimensions: int) -> None:
    """Write random vectors under hexadecimal ids."""
    random = np.random.default_rng(dimensions + rows)
    matrix = np.empty((rows, dimensions), np.float16)
    for begin in range(0, rows, vectors.BATCH):
        part = matrix[begin : begin + vectors.BATCH]
        part[:] = random.standard_normal(part.shape, np.float32)
    vectors.write(path, [f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" for number in range(rows)], matrix)


def made_categories(ids: pd.Series) -> pd.Series:
    """Return one or two categories per row; some categories are larger than others."""
    random = np.random.default_rng(0)
    first = (random.random(len(ids)) ** 2 * CATEGORIES).astype(int).tolist()
    two = random.random(len(ids)) < 0.3
    lists = [[one, (one + 3) % CATEGORIES] if both else [one] for one, both in zip(first, two, strict=True)]
    return pd.Series(lists, index=ids, dtype=object)


def made_texts() -> list[str]:
    """Return texts of 20 to 200 words."""
    random = np.random.default_rng(0)
    words = np.array(["river", "stone", "lamp", "kettle", "orchard", "engine", "letter", "mountain", "winter"])
    return [" ".join(random.choice(words, random.integers(20, 200))) for _ in range(300)]


if __name__ == "__main__":
    main()
