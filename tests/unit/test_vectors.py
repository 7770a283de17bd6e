"""Embedding files: what is written is read, whatever is wrong is named, and rows rank by their rounded scores."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ballast import schemas
from ballast.files import BallastError
from ballast.picks import features, nearest, vectors

IDS = [f"{number:03}" for number in range(40)]


def drawn(rows: int = 40, dimensions: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)


@pytest.fixture
def small(monkeypatch):
    """Files of five-row batches, read three rows at a time."""
    monkeypatch.setattr(vectors, "BATCH", 5)
    monkeypatch.setattr(vectors, "BLOCK", 3)


@pytest.fixture
def path(tmp_path, small) -> str:
    path = str(tmp_path / "e.arrow")
    vectors.write(path, IDS, drawn())
    return path


def raw(path, ids=IDS, matrix=None, kind=None) -> str:
    """A file that our own writer would refuse."""
    matrix = drawn().astype(np.float16) if matrix is None else matrix
    column = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])
    batch = pa.record_batch([pa.array(ids, kind or pa.large_string()), column], names=["id", "embedding"])
    with pa.ipc.new_file(str(path), batch.schema) as file:
        file.write_batch(batch)
    return str(path)


def test_what_is_read_is_what_was_written_in_float16(path):
    found, stored = vectors.read(path), drawn().astype(np.float16).astype(np.float64)
    assert len(found) == 40 and found.dimensions == 8 and found.ids == IDS
    rows = found.find(IDS[::-1])
    assert rows.tolist() == list(range(40))[::-1]
    units = stored / np.linalg.norm(stored, axis=1, keepdims=True)
    assert np.abs(found.units(rows) - units[::-1]).max() < 1e-15


@pytest.mark.parametrize("step", [1, 2, 7, 39])
def test_blocks_are_the_rows_asked_for(path, step):
    rows, seen = np.arange(0, 40, step), []
    for part, block, norms in vectors.read(path).blocks(rows):
        assert len(block) <= vectors.BLOCK
        assert np.allclose(norms, np.linalg.norm(block, axis=1))
        assert (block == drawn()[rows[part]].astype(np.float16)).all()
        seen += rows[part].tolist()
    assert seen == rows.tolist()


def test_equal_vectors_are_equal_bytes(tmp_path):
    for name in ("a", "b"):
        vectors.write(tmp_path / name, IDS, drawn())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_torn_file_is_named(path):
    content = Path(path).read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 4):
        Path(path).write_bytes(content[:size])
        with pytest.raises(BallastError, match="e.arrow: not a whole Arrow file; delete it and run again"):
            vectors.read(path)
    with pytest.raises(BallastError, match="none.arrow: no such file"):
        vectors.read("none.arrow")


@pytest.mark.parametrize("matrix", [drawn(), np.ones((40, 8), np.int8)])
def test_other_types_are_no_embedding(tmp_path, matrix):
    with pytest.raises(BallastError, match="e.arrow: not an embedding file"):
        vectors.read(raw(tmp_path / "e.arrow", matrix=matrix))


def test_a_missing_value_is_named(tmp_path):
    with pytest.raises(BallastError, match="e.arrow: a value is missing"):
        vectors.read(raw(tmp_path / "e.arrow", ids=[None, *IDS[1:]]))


def test_an_id_that_is_missing_or_there_twice_is_named(tmp_path, path):
    with pytest.raises(BallastError, match="e.arrow: row zzz is missing"):
        vectors.read(path).find(["000", "zzz"])
    with pytest.raises(BallastError, match="twice.arrow: row 000 is there twice"):
        vectors.read(raw(tmp_path / "twice.arrow", ids=["000", *IDS[:-1]])).find(IDS)


@pytest.mark.parametrize(
    ("value", "why"), [(np.nan, "is not finite"), (np.inf, "is not finite"), (-np.inf, "is not finite"), (0, "is zero")]
)
def test_a_vector_without_direction_is_named_when_it_is_read_and_when_it_is_written(tmp_path, small, value, why):
    matrix = drawn().astype(np.float16)
    matrix[17] = 0
    matrix[17, 3] = value
    found = vectors.read(raw(tmp_path / "e.arrow", matrix=matrix))
    with pytest.raises(BallastError, match=f"e.arrow: the embedding of row 017 {why}"):
        list(found.blocks(np.arange(40)))
    with pytest.raises(BallastError, match=f"e.arrow: the embedding of row 017 {why}"):
        found.units(np.array([3, 17]))
    with pytest.raises(BallastError, match=f"new.arrow: the embedding of row 017 {why} in float16"):
        vectors.write(tmp_path / "new.arrow", IDS, matrix.astype(np.float32))
    assert not (tmp_path / "new.arrow").exists()


def test_references_of_other_dimensions_and_of_too_few_categories_are_named(tmp_path, path):
    table = pd.DataFrame(dict.fromkeys(("id", "instruction", "input", "output"), IDS))
    names = [str(tmp_path / name) for name in ("r.parquet", "r.arrow")]
    schemas.write(names[0], table.assign(category=np.arange(40) % 14), schemas.REFERENCES)
    vectors.write(names[1], IDS, drawn(dimensions=9))
    with pytest.raises(BallastError, match=r"r.arrow: 9 dimensions, and .*e.arrow has 8"):
        features.load(embedding=path, references=names[0], reference_embedding=names[1])
    schemas.write(names[0], table.assign(category=np.arange(40) % 13), schemas.REFERENCES)
    with pytest.raises(BallastError, match=r"r.parquet: no reference of category 13"):
        features.load(embedding=path, references=names[0], reference_embedding=names[1])


@pytest.mark.parametrize("categories", [[[0, 0]], [[14]], [[-1]], [[300]], [None], [[None]], ["0"], [0]])
def test_categories_that_are_no_sets_of_ids_are_named(tmp_path, categories):
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table({"id": ["a"], "categories": categories}), path)
    with pytest.raises(BallastError, match=r"c.parquet: 'categories' must be lists of distinct ids of 0..13"):
        features.load(category=path)
    pq.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(BallastError, match=r"c.parquet: no column 'categories'"):
        features.load(category=path)


# ---- the nearest rows


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("n", [0, 1, 20, 300])
def test_the_best_are_ranked_by_rounded_scores_and_ids(n, labelled):
    """Rows so alike that their scores differ in the sixth and seventh digit."""
    random = np.random.default_rng(n)
    matrix = random.normal(size=64) + random.normal(scale=2e-6, size=(2000, 64))
    directions = random.normal(size=64) + random.normal(scale=2e-6, size=(14, 64))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    ids = np.array([f"{number:04}" for number in random.permutation(2000)], object)
    scores = np.round(matrix / np.linalg.norm(matrix, axis=1, keepdims=True) @ directions.T, 6)
    inside = random.random((2000, 14)) < 0.2 if labelled else scores.argmax(axis=1)[:, None] == np.arange(14)
    stored = vectors.in_memory(ids, matrix)
    found, sizes = nearest.best(stored, ids, directions, n, inside if labelled else None)
    assert list(sizes.values()) == inside.sum(axis=0).tolist()
    for category in range(14):
        own = sorted(np.flatnonzero(inside[:, category]), key=lambda row: (-scores[row, category], ids[row]))  # noqa: B023
        assert found[category] == [ids[row] for row in own[:n]]
    order = random.permutation(2000)
    again = nearest.best(stored, ids[order], directions, n, inside[order] if labelled else None)
    assert again == (found, sizes), "the order of the rows changes nothing"


def test_subsets_do_not_depend_on_how_a_file_is_cut(path, tmp_path, monkeypatch):
    directions = drawn(14, seed=1).astype(np.float64)
    members = nearest.one_hot(np.arange(40) % 14)
    cut = vectors.read(path)
    monkeypatch.setattr(vectors, "BATCH", 4096)
    vectors.write(tmp_path / "whole.arrow", IDS[::-1], drawn()[::-1])
    whole = vectors.read(tmp_path / "whole.arrow")
    for given in (None, members):
        assert nearest.best(cut, IDS, directions, 2, given) == nearest.best(whole, IDS, directions, 2, given)
    means = [nearest.mean_units(each, IDS, members) for each in (cut, whole)]
    assert np.abs(means[0] - means[1]).max() < 1e-15
