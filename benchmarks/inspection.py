"""Measure the inspection of a large file: `python benchmarks/inspection.py --rows 100000`.

It writes a pool of made requests and responses, 280 bytes a row, of words as frequent as in real text; one row in fifty
is a near twin of another. It inspects the pool beside a small set of base data and benchmarks of 500 prompts, in this
process, and prints CPU seconds of reading and of inspecting, and the peak of resident memory.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from ballast.data import inspection  # noqa: E402
from ballast.study.config import Checks  # noqa: E402

WORDS = 200_000
REQUEST, RESPONSE = 14, 26  # words
BENCHMARKS, PROMPTS = 4, 500


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        files = {"base": Path(folder, "base.jsonl"), "pools/big": Path(folder, "pool.jsonl")}
        write(files["base"], min(chosen.rows, 1000), 1)
        write(files["pools/big"], chosen.rows, 2)
        size = files["pools/big"].stat().st_size
        begin = time.process_time()
        datasets = [inspection.read(name, str(path), "auto", {}) for name, path in files.items()]
        read = time.process_time()
        options = {"checks": Checks().model_dump(), "asked": {"big": {"any": 1000}}, "labeller": "wildguard"}
        found = inspection.inspect(datasets, benchmarks(), options)
        done = time.process_time()
    report = {
        "rows": chosen.rows,
        "mb": round(size / 1e6),
        "read_cpu_s": round(read - begin, 1),
        "inspect_cpu_s": round(done - read, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "findings": [finding.said.replace(folder, "") for finding in found.findings],
    }
    print(json.dumps(report, indent=1))
    return report


def write(path: Path, rows: int, seed: int) -> None:
    """Write rows a block at a time, as JSON lines."""
    random = np.random.default_rng(seed)
    with path.open("w") as file:
        for begin in range(0, rows, 10_000):
            size = min(10_000, rows - begin)
            requests, responses = texts(random, size, REQUEST), texts(random, size, RESPONSE)
            twin = 0.02 * size
            for number in range(1, int(twin)):
                requests[-number] = requests[number] + " please"
            lines = (
                json.dumps({"instruction": request, "input": "", "output": response})
                for request, response in zip(requests, responses, strict=True)
            )
            file.writelines(f"{line}\n" for line in lines)


def texts(random: np.random.Generator, rows: int, words: int) -> list[str]:
    """Return texts whose words are about as frequent as those of real text."""
    drawn = np.minimum(WORDS * random.random((rows, words)) ** 4, WORDS - 1).astype(int)
    return [" ".join(f"w{word:x}" for word in row) for row in drawn]


def benchmarks() -> dict[str, pd.DataFrame]:
    random = np.random.default_rng(0)
    made = [texts(random, PROMPTS, 10) for _ in range(BENCHMARKS)]
    return {
        f"made{number}": pd.DataFrame({"prompt": prompts, "id": [f"{number}-{place}" for place in range(PROMPTS)]})
        for number, prompts in enumerate(made)
    }


if __name__ == "__main__":
    main()
