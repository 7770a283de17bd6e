"""Take a model's responses from elsewhere: from a file that somebody generated, or from an endpoint.

respond.py (--file RESPONSES --columns JSON | --endpoint JSON --max-new-tokens N --store DIR)
           --benchmarks NAME=ROWS.parquet... --out RESPONSES.parquet --record JSON

A file's rows are matched by their prompt, apart from case and punctuation. A prompt without a response is left out and
counted, by reason; the record has the counts.
"""

import argparse
import json
import sys

import pandas as pd

from ballast import schemas
from ballast.asking import endpoint, thinking
from ballast.data import overlap, reading
from ballast.data.rows import pairs_to_judge
from ballast.files import BallastError, digest, write_json
from ballast.readers import lm_eval


def main(arguments: argparse.Namespace) -> None:
    files = dict(argument.split("=", 1) for argument in arguments.benchmarks)
    prompts = schemas.read_prompts(files)
    found, record = from_file(prompts, arguments) if arguments.file else from_endpoint(prompts, arguments)
    answered = found["response"].notna()
    counts = {"prompts": len(prompts), "responses": int(answered.sum()), "prompts_cut": 0}
    if not answered.any():
        raise BallastError(f"{record['origin']}: none of {len(prompts)} prompts has a response: {record['missing']}")
    whole = pd.concat([prompts, found], axis=1)[answered.to_numpy()].reset_index(drop=True)
    reasoning, unfinished = thinking.counts(whole["response"].tolist())
    schemas.write(arguments.out, whole.assign(prompt_cut=False), schemas.RESPONSES)
    counts |= {"responses_cut": int((whole["finish_reason"] == "length").sum())}
    counts |= {"responses_with_reasoning": reasoning, "responses_still_thinking": unfinished}
    write_json(arguments.record, record | counts)
    missing = "; ".join(f"{times} {why}" for why, times in record["missing"].items()) or "none"
    print(f"{len(prompts)} prompts, {counts['responses']} responses; missing: {missing}", file=sys.stderr)


def from_file(prompts: pd.DataFrame, arguments: argparse.Namespace) -> tuple[pd.DataFrame, dict]:
    """Return response, finish_reason and token counts of each prompt; the last two are not known, so 0."""
    form = "lm-eval" if lm_eval.is_samples(arguments.file) else "auto"
    given = reading.read(arguments.file, form, columns=json.loads(arguments.columns), unreadable=1.0)
    asked = pairs_to_judge(given)["prompt"].tolist()
    places = overlap.exact(prompts["prompt"].tolist(), asked)
    # The first response of a prompt counts; another one of the same prompt must not contradict it in silence.
    words = pd.Series([overlap.normalised(text) for text in asked])
    apart = given.assign(words=words).groupby("words")["output"].nunique()
    doubled = apart[apart > 1].index
    if len(doubled):
        row = int(words.isin(doubled).to_numpy().argmax())
        raise BallastError(
            f"{arguments.file}: {len(doubled)} prompts have several different responses, such as that of row {row}; "
            "keep one of each"
        )
    responses = [given["output"].iloc[place] if place >= 0 else None for place in places]
    table = pd.DataFrame({"response": responses, "finish_reason": "stop", "prompt_tokens": 0, "response_tokens": 0})
    known = {overlap.normalised(text) for text in prompts["prompt"]}
    missing = {"not in the file": int((places < 0).sum())} if (places < 0).any() else {}
    unused = int((~words.isin(known)).sum())
    origin = {"origin": arguments.file, "sha256": digest(arguments.file), "missing": missing, "rows_unused": unused}
    print(f"{arguments.file}: {len(given)} rows, {unused} of other prompts", file=sys.stderr)
    return table, origin | {"adapter_sha256": None}


def from_endpoint(prompts: pd.DataFrame, arguments: argparse.Namespace) -> tuple[pd.DataFrame, dict]:
    """Return response, finish_reason and token counts of each prompt; the last two are totals in the record, so 0."""
    options = json.loads(arguments.endpoint)
    got = endpoint.answer(prompts["prompt"].tolist(), options, arguments.max_new_tokens, store=arguments.store)
    ends = ["length" if cut else "stop" for cut in got.cuts]
    table = pd.DataFrame({"response": got.answers, "finish_reason": ends, "prompt_tokens": 0, "response_tokens": 0})
    origin = {"origin": options["url"], "model": options["model"], "missing": got.missing, "retries": got.retries}
    return table, origin | {"max_new_tokens": arguments.max_new_tokens, "adapter_sha256": None}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--file")
    place.add_argument("--endpoint")
    parser.add_argument("--columns", default="{}")
    parser.add_argument("--max-new-tokens", type=int)
    parser.add_argument("--store")
    parser.add_argument("--benchmarks", nargs="+", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--record", required=True)
    main(parser.parse_args())
