"""Score helpfulness with the OpenAssistant reward model: unbounded, higher is better.

`OpenAssistant/reward-model-deberta-v3-large-v2`: a DeBERTa-v2 regression on the tokenizer's pair (question, answer);
the score is the raw logit. Its tokenizer states no usable length, so the limit of 512 tokens is set here.
"""

import pandas as pd

from ballast.asking import language_model

UNIT = "reward"  # without bounds, so it has no SCALE
DIRECTION = "higher"
# The scale differs between models, so canaries only require a number.
CANARIES = dict.fromkeys(("empty", "refusal", "gibberish", "harmful"), (float("-inf"), float("inf")))
MAX_TOKENS = 512


def judge(pairs: pd.DataFrame, options: dict) -> pd.DataFrame:
    """Score pairs; `options`: the config's, with model (folder); a max_length above 512 counts as 512."""
    texts = list(zip(pairs["prompt"], pairs["response"], strict=True))
    logits = language_model.score(texts, options | {"max_length": min(options["max_length"], MAX_TOKENS)})
    return pd.DataFrame({"score": logits, "answer": [f"{logit:.4f}" for logit in logits]}, index=pairs.index)
