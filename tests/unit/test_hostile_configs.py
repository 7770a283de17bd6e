"""A config that is deep, circular or huge, or holds what no file can hold, ends in one line at load."""

import pytest

from ballast.files import BallastError
from ballast.study import config

DEEP = "nested deeper than 50 levels, or an anchor holds itself"
DIGITS = "a whole number of too many digits"
BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
CONFIGS = {
    "study: " + "[" * 100_000 + "]" * 100_000: DEEP,
    "study: " + "[" * 60 + "]" * 60: DEEP,
    "\n".join(" " * depth + "a:" for depth in range(600)): DEEP,
    "models: &a {m: *a}": DEEP,
    "study: &a [*a]": DEEP,
    BOMB: "over 1,000,000 entries",
    "extends: 3": "extends: give the name of one file, not 3",
    "extends: [a, b]": "extends: give the name of one file",
    f"extends: {'a' * 300}": "extends: give the name of one file",
    'extends: "a\\0b"': "extends: give the name of one file",
    f"seed: {'9' * 5_000}": DIGITS,
    f"seed: 0x{'f' * 5_000}": DIGITS,
    f"seed: -{'9' * 4_000}": DIGITS,
    'study: "a\\ud800"': "'a.ud800' holds half a character",
    '"a\\udfff": 1': "holds half a character",
    f"study: {'a' * 300}": "study: string should have at most 100 characters",
    "measure: 3": "config: ",
    "suite: [a]": "suite: ",
}


@pytest.mark.parametrize("text", CONFIGS, ids=lambda text: text[:20])
def test_one_line_says_what_is_wrong(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(BallastError, match=CONFIGS[text]) as refusal:
        config.load(config.given([tmp_path / "mine.yaml"], {}))
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 300 + len(str(tmp_path))


def test_a_change_on_the_command_line_is_checked_too(tmp_path):
    (tmp_path / "mine.yaml").write_text("study: mine")
    with pytest.raises(BallastError, match="--config: a whole number of too many digits"):
        config.given([tmp_path / "mine.yaml"], {"seed": 10**100})
