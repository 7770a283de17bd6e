"""Files of gradients: what is written is read, and what is torn or of another kind is told."""

import numpy as np
import pyarrow as pa
import pytest

from ballast.files import BallastError, write_text
from ballast.picks import features, gradients, vectors

IDS = ["a", "b", "c"]
MATRIX = np.array([[3.0, 4.0], [0.0, 0.0], [-1e-7, 0.0]])
LOSSES, NORMS = [0.5, np.nan, 2.0], [5.0, 0.0, 1e-7]


@pytest.fixture
def path(tmp_path):
    gradients.write(tmp_path / "gradients.arrow", [(IDS, LOSSES, NORMS, MATRIX)])
    return tmp_path / "gradients.arrow"


def test_what_is_written_is_read(path):
    found = gradients.read(path)
    assert found.ids == IDS and found.dimensions == 2 and len(found) == 3
    assert found.losses[[0, 2]].tolist() == [0.5, 2.0] and np.isnan(found.losses[1])
    assert found.norms.tolist() == [5.0, 0.0, float(np.float32(1e-7))]
    assert found.learnt(["c", "b", "a"]).tolist() == [0, 2] and found.names(np.array([2])) == ["c"]
    # float16 ends at 6e-8; the unit gradient is stored, so a small gradient keeps its direction.
    assert found.cosines(np.array([0, 2]), np.array([2.0, 0.0])).tolist() == pytest.approx([0.6, -1.0], abs=1e-3)


def test_the_mean_weighs_gradients_by_their_norms_and_unit_ones_equally():
    found = gradients.in_memory(IDS, [1.0, 1.0, 1.0], [4.0, 0.0, 2.0], np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]))
    assert found.mean().tolist() == [2.0, 1.0] and found.mean(unit=True).tolist() == [0.5, 0.5]
    assert found.mean(np.array([2, 1])).tolist() == [0.0, 2.0], "a row that teaches nothing is not one of them"
    assert found.along(np.array([0, 2]), np.array([3.0, -1.0])).tolist() == [3.0, -1.0]
    with pytest.raises(BallastError, match="gradients: no row has a gradient; raise training.max_length"):
        found.mean(np.array([1]))


def test_parts_are_one_file_and_count(tmp_path):
    parts = [(IDS[:1], LOSSES[:1], NORMS[:1], MATRIX[:1]), (IDS[1:], LOSSES[1:], NORMS[1:], MATRIX[1:])]
    assert gradients.write(tmp_path / "parts.arrow", parts) == 3
    assert gradients.read(tmp_path / "parts.arrow").ids == IDS


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_not_written(tmp_path, value):
    wrong = np.array([[1.0, 0.0], [value, 0.0]])
    with pytest.raises(BallastError, match="the gradient of row b is not finite; check training.dtype"):
        gradients.write(tmp_path / "gradients.arrow", [(["a", "b"], [1.0, 1.0], [1.0, 1.0], wrong)])
    with pytest.raises(BallastError, match="no rows"):
        gradients.write(tmp_path / "gradients.arrow", [])
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_torn_or_another_is_told(tmp_path, path):
    with pytest.raises(BallastError, match="no such file"):
        gradients.read(tmp_path / "none.arrow")
    torn = tmp_path / "torn.arrow"
    torn.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BallastError, match="torn.arrow: not a whole Arrow file; delete it and run again"):
        gradients.read(torn)
    vectors.write(tmp_path / "embedding.arrow", IDS, np.ones((3, 2)))
    with pytest.raises(
        BallastError, match="embedding.arrow: not a file of gradients, which has columns id, loss, norm"
    ):
        gradients.read(tmp_path / "embedding.arrow")
    write_text(tmp_path / "empty.arrow", "")
    with pytest.raises(BallastError, match="not a whole Arrow file"):
        gradients.read(tmp_path / "empty.arrow")


def test_features_of_pool_and_base_share_their_logprobs_and_rows(tmp_path, path):
    import pyarrow.parquet as pq

    for name, ids in (("pool", ["a", "b"]), ("base", ["b", "c"])):
        lists = pa.array([[-0.5], [-1.0, -2.0]], pa.list_(pa.float32()))
        pq.write_table(pa.table({"id": ids, "logprobs": lists}), tmp_path / f"{name}.parquet")
    known = features.load(
        gradients=path, logprobs=str(tmp_path / "pool.parquet"), base_logprobs=str(tmp_path / "base.parquet")
    )
    assert {row: values.tolist() for row, values in known.logprobs.items()} == {
        "a": [-0.5],
        "b": [-1, -2],
        "c": [-1, -2],
    }
    assert len(known.gradients) == 3 and known.base_gradients is None
    pq.write_table(pa.table({"id": ["a"], "logprobs": pa.array([[1.0]])}), tmp_path / "pool.parquet")
    with pytest.raises(BallastError, match="'logprobs' must be lists of float32"):
        features.load(logprobs=str(tmp_path / "pool.parquet"))
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "pool.parquet")
    with pytest.raises(BallastError, match="no column 'logprobs'"):
        features.load(logprobs=str(tmp_path / "pool.parquet"))
