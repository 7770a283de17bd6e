"""Texts that two sets share: equal but for case and punctuation, or nearly."""

import numpy as np
import pytest

from ballast import plugins
from ballast.data import overlap


def test_case_punctuation_and_width_do_not_make_another_text():
    assert overlap.normalised("  Name a\u00a0RIVER\uff01 ") == overlap.normalised("name, a river") == "name a river"
    assert overlap.normalised("Na\u00efve?") == "na\u00efve" and overlap.normalised("?!") == ""
    assert overlap.exact(["A b!", "c", "?"], ["x", "a  b", "A B", "..."]).tolist() == [1, -1, -1]


def test_the_nearest_text_is_found_and_only_if_it_is_near():
    asked = ["how do I repair the chain of my bicycle", "what is the capital of France"]
    among = ["name three rivers", "how do I repair the chain of my old bicycle", "how do I repair a clock"]
    found = overlap.near(asked, among)
    assert found.place.tolist() == [1, -1] and 0.7 <= found.cosine[0] < 1 and found.cosine[1] == 0
    assert overlap.near(among[:1], among).cosine[0] == pytest.approx(1)


def test_twins_within_a_set_are_not_the_row_itself():
    texts = ["how do I repair the chain of my bicycle", "name three rivers", "how do I repair the chain of my bike"]
    assert overlap.near([*texts, texts[1]]).place.tolist() == [2, 3, 0, 1]
    assert (overlap.near(["alone"]).place == -1).all() and len(overlap.near(["a"], []).place) == 1


def test_blocks_change_nothing(monkeypatch):
    words = np.array(["river", "sea", "lake", "chain", "clock", "repair", "name", "paint", "build", "old", "big"])
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(words, 6)) for _ in range(200)]
    whole = overlap.near(texts, texts[50:] + texts[:50])
    monkeypatch.setattr(overlap, "CELLS", 50)
    parts = overlap.near(texts, texts[50:] + texts[:50])
    assert (whole.place == parts.place).all() and (whole.place >= 0).all()


def test_where_words_propose_too_much_the_frequent_ones_propose_nothing_and_the_log_says_so(monkeypatch, capsys):
    frequent = " ".join(f"word{number}" for number in range(60))
    texts = [f"{frequent} row{number}" for number in range(40)]
    texts += ["zebra xylophone", "zebra xylophone please", "a river", "a river"]
    whole = overlap.near(texts)
    assert (whole.place >= 0).all() and not capsys.readouterr().err
    monkeypatch.setattr(overlap, "PRODUCTS", 20)
    some = overlap.near(texts)
    assert "words that most texts share propose no pair" in capsys.readouterr().err
    assert (some.place[:40] == -1).all() and some.place[40:].tolist() == [41, 40, 43, 42]


def test_what_the_real_files_share(data_dir):
    def prompts(reader, file):
        return plugins.load("readers", reader).read(str(data_dir / file))["prompt"].tolist()

    read = plugins.load("readers", "auto").read
    pool = read(data_dir / "safety-tuned-llamas/safety_pool.vinid.json")["instruction"].tolist()
    base = read(data_dir / "alpaca/alpaca_random_9229.alpagasus.json")
    instructions = prompts("i-alpaca", "safety-tuned-llamas/evaluation/I-Alpaca.json")
    assert (overlap.exact(instructions, base["instruction"].tolist()) >= 0).sum() == 6
    # As measured apart from this code, with another library's TF-IDF.
    harmful = prompts("prompts", "beavertails/beavertails_evaluation.reconstructed.json")
    assert (overlap.exact(harmful, pool) >= 0).sum() == 0 and (overlap.near(harmful, pool).place >= 0).sum() == 1
    assert (overlap.near(prompts("prompts", "salad/base_sub2132.restart.json"), pool).place >= 0).sum() == 9
    assert (overlap.near(prompts("xstest", "xstest/xstest_prompts.csv"), pool).place >= 0).sum() == 0
    twins = overlap.near(pool)
    assert 60 <= (twins.place >= 0).sum() <= 75 and 17 <= (twins.cosine >= 0.9).sum() <= 23
