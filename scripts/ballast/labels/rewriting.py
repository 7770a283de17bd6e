"""Rewrite each response of a pool of unsafe pairs as a refusal (the paper's appendix C.3, Figure 7).

The paper asked gpt-4o-mini, zero-shot; its prompt is not published, so ours is `rewriting.json`.
"""

from pathlib import Path

import pandas as pd

from ballast.asking.answers import Answers
from ballast.asking.language_model import ask
from ballast.asking.prompts import PairTemplate
from ballast.data.refusal_words import is_refusal
from ballast.data.rows import PAIR, pairs_to_judge, with_ids
from ballast.files import BallastError, digest


def rewrite(
    pool: pd.DataFrame, options: dict, template: str, max_new_tokens: int, max_failed: float
) -> tuple[pd.DataFrame, dict]:
    """Return the pool's rows in their order with refusals as `output` and new ids, and a log.

    `options` as for `language_model.ask`. A rewrite is unusable if it is missing, blank or the old response itself.
    Unusable rows are left out, and more than `max_failed` of them are an error. A usable rewrite need not open as a
    refusal (by the rule of the judge refusal-string); the log counts those that do not. It also counts rows that repeat
    an earlier rewrite, which are left out: a pool never holds a pair twice. A model's reasoning is never a part of a
    refusal; an answer that never ended it is unusable.
    """
    texts = PairTemplate.load(template).render_all(pairs_to_judge(pool))
    said = ask(texts, options, max_new_tokens)
    refusals = pd.Series([(answer or "").strip() for answer in said.answers], index=pool.index)
    unchanged = (refusals != "") & (refusals == pool["output"].str.strip())
    usable = (refusals != "") & ~unchanged
    failed = int((~usable).sum())
    if failed > max_failed * len(pool):
        reasons = said.missing | {"still thinking": said.unfinished, "the old response": int(unchanged.sum())}
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
        raise BallastError(
            f"rewriting: {failed} of {len(pool)} rows got no usable refusal ({why}), more than rewriting.max_failed "
            f"{max_failed}; what was answered is kept, so mend the model or the template, or raise max_failed"
        )
    rewritten = pool.assign(output=refusals)[usable]
    distinct = rewritten.drop_duplicates(list(PAIR))
    log = {
        "rows_asked": len(pool),
        "rows_rewritten": len(distinct),
        "rows_failed": failed,
        "rows_repeated": len(rewritten) - len(distinct),
        "rows_not_opening_as_a_refusal": int((~distinct["output"].map(is_refusal)).sum()),
        "rows_unchanged": int(unchanged.sum()),
        "template": digest(template),
        "max_new_tokens": max_new_tokens,
        **_asked(options),
        **_taken(said, options),
    }
    return with_ids(distinct.reset_index(drop=True), PAIR, "rewriting")[list(pool.columns)], log


def _asked(options: dict) -> dict:
    """Return the model that was asked; for a folder only its name, so that a log says nothing about this machine."""
    if options.get("endpoint"):
        return {"url": options["endpoint"]["url"], "model": options["endpoint"]["model"]}
    return {"backend": options["backend"], "model": Path(options["model"]).name}


def _taken(said: Answers, options: dict) -> dict:
    """Return texts, tokens and cost; tokens and cost are null if unknown."""
    cost = None
    if options.get("endpoint") and None not in (said.input_tokens, said.output_tokens):
        prices = options["endpoint"]["usd_per_million_input"], options["endpoint"]["usd_per_million_output"]
        cost = round((said.input_tokens * prices[0] + said.output_tokens * prices[1]) / 1e6, 9)
    return {
        "texts": said.distinct,
        "texts_answered_by_an_earlier_job": said.kept,
        "texts_cut": said.cut,
        "texts_with_reasoning": said.thinking,
        "texts_still_thinking": said.unfinished,
        "texts_missing": said.missing,
        "retries": said.retries,
        "input_tokens": said.input_tokens,
        "output_tokens": said.output_tokens,
        "cost_usd": cost,
    }
