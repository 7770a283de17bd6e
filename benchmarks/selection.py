"""Selection at scale on one thread of a CPU: samplers, streaming from disk, and embedding.

    python benchmarks/selection.py --pool pool.json --out selection.json    # full size, 17 GB of disk, minutes
    python benchmarks/selection.py --size small --parts scores stream       # seconds
    python benchmarks/selection.py --size tiny                              # only to see that it runs

Parts: `scores` picks with cossim, pss and sss from random unit vectors with the rows of BeaverTails, and compares the
ids with a plain float64 computation, and cossim's time with the full matrix of cosines (measured on some rows and
extrapolated to all). `stream` picks from a file too large to hold, dropped from the page cache before, and compares
with the plain reading of that file. `embedding` compares with a plain call of `encode`, on the pairs of `--pool` or on
made texts, and with the time that the matrix products alone must take. Files lie in `--folder` and are removed.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from selection_exact import full_matrix_seconds, mean_units, subset
from tabulate import tabulate
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from ballast import plugins  # noqa: E402
from ballast.picks import nearest, vectors  # noqa: E402
from ballast.picks.nearest import bits  # noqa: E402
from ballast.picks.selection import Features, pick  # noqa: E402

CATEGORIES = 14
OPTIONS = {"multilabel": "first-taken", "centroid": "eligible"}
PAGES = 2**24  # bytes that plain reading asks for at a time
LIBRARIES = ("numpy", "pandas", "pyarrow", "torch", "sentence-transformers", "transformers")


@dataclass(frozen=True)
class Size:
    """Rows of the pool, references of each category, rows of the file that is streamed, rows of the full matrix."""

    rows: int = 333_963
    references: int = 20_000
    dimensions: int = 768
    n: int = 1000
    streamed: int = 10_000_000
    matrix_rows: int = 128
    texts: int = 2_483


SIZES = {
    "full": Size(),
    "small": Size(rows=33_396, references=2_000, streamed=200_000, texts=300),
    "tiny": Size(rows=900, references=20, dimensions=32, n=50, streamed=5_000, matrix_rows=16, texts=12),
}


def main(arguments: list[str] | None = None) -> dict:
    parts = {"scores": scores, "stream": stream, "embedding": embedding}
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
    """CPU seconds of each sampler after its features are loaded, and of loading them."""
    needed = 2 * size.dimensions * (size.rows + CATEGORIES * size.references)
    with scratch(chosen.folder, needed) as folder:
        write_random(folder / "pool.arrow", size.rows, size.dimensions)
        write_random(folder / "references.arrow", CATEGORIES * size.references, size.dimensions)
        pool, features, loading = load(folder, size)
        yield {"way": "references to their means"} | loading
        picked, rows = {}, {}
        for sampler in ("cossim", "pss", "sss"):
            with measured(0) as rows[sampler]:
                picked[sampler] = pick(plugins.load("samplers", sampler), pool, features, size.n, 0, OPTIONS).ids
        # What is compared with takes memory of its own, and so comes after.
        references = mean_units(folder / "references.arrow", np.arange(CATEGORIES * size.references) % CATEGORIES)
        for sampler, ids in picked.items():
            exact = subset(sampler, folder / "pool.arrow", features.categories, references, size.n)
            rows[sampler]["as_in_float64"] = ids == exact
        slow = full_matrix_seconds(folder, size.matrix_rows, CATEGORIES) * size.rows / size.matrix_rows
        took = rows["cossim"]["cpu_s"]
        rows["cossim"] |= {"full_matrix_cpu_s_extrapolated": slow, "times": slow / took}
        rows["cossim"] |= {"times_with_references": slow / (took + loading["cpu_s"])}
        yield from ({"way": sampler} | found for sampler, found in rows.items())


def load(folder: Path, size: Size) -> tuple[pd.DataFrame, Features, dict]:
    """The pool's ids, its features, and what turning the references into means took."""
    embedded = vectors.read(folder / "pool.arrow")
    pool = pd.DataFrame({"id": embedded.ids.to_pandas()})
    with measured(0) as found:
        references = vectors.read(folder / "references.arrow")
        categories = bits(np.arange(len(references)) % CATEGORIES)
        means = nearest.mean_units(references, references.ids, categories)
    return pool, Features(categories=made_categories(pool["id"]), embedding=embedded, references=means), found


def stream(size: Size, chosen: argparse.Namespace) -> Iterator[dict]:
    """Seconds of one pass and more over a file that is not in the page cache."""
    with scratch(chosen.folder, 2 * size.dimensions * size.streamed) as folder:
        path = folder / "pool.arrow"
        write_random(path, size.streamed, size.dimensions)
        yield {"way": "plain reading"} | (limit := plain_reading(path, direct=False))
        yield {"way": "plain reading past the cache"} | (direct := plain_reading(path, direct=True))
        fastest = max(limit["gb_per_s"], direct["gb_per_s"])
        embedded = vectors.read(path)
        pool = pd.DataFrame({"id": embedded.ids.to_pandas()})
        drawn = np.random.default_rng(1).standard_normal((CATEGORIES, size.dimensions))
        features = Features(categories=made_categories(pool["id"]), embedding=embedded, references=drawn / 100)
        for sampler, passes in (("cossim", 1), ("pss", 2)):
            drop(path)
            with measured(passes * path.stat().st_size) as found:
                pick(plugins.load("samplers", sampler), pool, features, size.n, 0, OPTIONS)
            found |= {"gb_per_cpu_s": passes * path.stat().st_size / 1e9 / found["cpu_s"]}
            found |= {"of_the_fastest": found["gb_per_s"] / fastest}
            yield {"way": f"{sampler}, passes: {passes}"} | found


def embedding(size: Size, chosen: argparse.Namespace) -> Iterator[dict]:
    """CPU seconds of a plain call and of ours, with the same model."""
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
    with measured(0) as plain:
        theirs = encoder.encode(texts, normalize_embeddings=True)
    yield {"way": "encode(texts)"} | plain
    with measured(0) as found:
        matrix = ours.encode(encoder, texts, Embedding().batch_size)
    compared = {"times": plain["cpu_s"] / found["cpu_s"], "largest_difference": float(abs(matrix - theirs).max())}
    yield {"way": "length-sorted batches"} | found | compared
    least = least_seconds(encoder, sum(ours.token_counts(encoder, texts)))
    yield {"way": "matrix products of its tokens alone", "cpu_s": least, "times": plain["cpu_s"] / least}


def least_seconds(encoder, tokens: int) -> float:
    """CPU seconds of the model's matrix products over some tokens at the rate of its largest one."""
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
    """A temporary folder, if there is room for `needed` bytes and some more."""
    free = shutil.disk_usage(folder).free
    if free < 1.1 * needed:
        sys.exit(
            f"{folder}: {free / 1e9:.1f} GB free, and this needs {1.1 * needed / 1e9:.1f}; make room, name another "
            "--folder, or take a smaller --size"
        )
    with tempfile.TemporaryDirectory(dir=folder) as name:
        yield Path(name)


@contextmanager
def measured(size: int) -> Iterator[dict]:
    """CPU and wall seconds of a block, the peak of its resident memory in MiB, and its rate where it reads a file.

    `peak_mib` counts what the process holds of its own, `peak_with_files_mib` mapped pages and libraries too.
    """
    found, ended = {}, threading.Event()
    peaks = resident()

    def watch() -> None:
        while not ended.wait(0.02):
            peaks[:] = [max(pair) for pair in zip(peaks, resident(), strict=True)]

    watcher = threading.Thread(target=watch)
    watcher.start()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield found
    finally:
        found |= {"cpu_s": round(time.process_time() - cpu, 4), "wall_s": round(time.perf_counter() - wall, 4)}
        ended.set()
        watcher.join()
    found |= {"peak_mib": round(peaks[0]), "peak_with_files_mib": round(peaks[1])}
    if size:
        found["gb_per_s"] = round(size / 1e9 / found["wall_s"], 3)


def resident() -> list[float]:
    """RssAnon and VmRSS of this process in MiB."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return [int(status[name].split()[0]) / 1024 for name in ("RssAnon", "VmRSS")]


def plain_reading(path: Path, direct: bool) -> dict:
    """Rate of reading a file from its begin to its end, off the disk."""
    drop(path)
    flags = os.O_RDONLY | (os.O_DIRECT if direct else 0)
    room = memoryview(pa.allocate_buffer(PAGES + 4096))
    aligned = -np.frombuffer(room, np.uint8).ctypes.data % 4096
    try:
        file = os.open(path, flags)
    except OSError:  # a file system without direct reading
        return {"gb_per_s": 0.0}
    with measured(path.stat().st_size) as found:
        while os.readv(file, [room[aligned : aligned + PAGES]]):
            pass
    os.close(file)
    return found


def drop(path: Path) -> None:
    """Take a file out of the page cache."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def write_random(path: Path, rows: int, dimensions: int) -> None:
    """Random unit vectors: a drawn block, turned another way for each part of the file."""
    random = np.random.default_rng(dimensions + rows)
    drawn = random.standard_normal((8 * vectors.BATCH, dimensions), dtype=np.float32)
    drawn = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float16)

    def parts() -> Iterator[tuple[list[str], np.ndarray]]:
        for begin in range(0, rows, len(drawn)):
            count = min(len(drawn), rows - begin)
            ids = [f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" for number in range(begin, begin + count)]
            turned = np.roll(drawn[:count].view(np.uint16), random.integers(dimensions), axis=1)
            turned ^= random.choice(np.array([0, 0x8000], np.uint16), dimensions)  # signs
            yield ids, turned.view(np.float16)

    vectors.write(path, parts())


def made_categories(ids: pd.Series) -> pd.Series:
    """One or two categories a row, of unlike sizes."""
    random = np.random.default_rng(0)
    first = (random.random(len(ids)) ** 2 * CATEGORIES).astype(np.int8)
    two = random.random(len(ids)) < 0.3
    lengths = 1 + two
    values = np.repeat(first, lengths)
    values[np.cumsum(lengths)[two] - 1] = (first[two] + 3) % CATEGORIES
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    lists = pa.ListArray.from_arrays(offsets, pa.array(values))
    return pd.Series(pd.arrays.ArrowExtensionArray(lists), index=pd.Index(ids))


def made_texts() -> list[str]:
    """Texts of 20 to 200 words."""
    random = np.random.default_rng(0)
    words = np.array(["river", "stone", "lamp", "kettle", "orchard", "engine", "letter", "mountain", "winter"])
    return [" ".join(random.choice(words, random.integers(20, 200))) for _ in range(2_483)]


if __name__ == "__main__":
    main()
