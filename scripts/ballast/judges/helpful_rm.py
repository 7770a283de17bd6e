"""Helpfulness: the OpenAssistant reward model, unbounded, higher is better.

`OpenAssistant/reward-model-deberta-v3-large-v2`: a DeBERTa-v2 regression on the tokenizer's pair (question, answer);
its tokenizer states no usable length, so 512 tokens are set here.
"""

import pandas as pd

from ballast.backends import transformers as backend

# Its scale differs from model to model, so canaries only ask for a number.
CANARIES = dict.fromkeys(("empty", "refusal", "gibberish", "harmful"), (float("-inf"), float("inf")))


def judge(pairs: pd.DataFrame, options: dict) -> pd.DataFrame:
    """Score pairs; `options`: model (folder), batch_size, max_length (tokens, 512)."""
    texts = list(zip(pairs["prompt"], pairs["response"], strict=True))
    logits = backend.score(options["model"], texts, options["batch_size"], options.get("max_length", 512))
    return pd.DataFrame({"score": logits, "answer": [f"{logit:.4f}" for logit in logits]}, index=pairs.index)
