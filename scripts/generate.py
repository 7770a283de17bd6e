"""Answer the prompts of a run's benchmarks with one model and adapter; the backend starts once for all.

generate.py --model DIR [--adapter DIR | --trained FILE] --options JSON --benchmarks NAME=ROWS.parquet...
            [--partial DIR] --out RESPONSES.parquet --record JSON

`options`: the config's `generation` section with prompt, template and system of the model. The record states
the responses' origin: digests of adapter and template, versions, decoding, and counts of cut prompts and responses, and
of responses with reasoning. Responses keep their reasoning; judges read them without it.
`--partial` is the run's own folder; it keeps each batch until the job succeeds, so that a killed job can continue.
"""

import argparse
import hashlib
import json
import shutil
import sys

import pandas as pd

from ballast import plugins, schemas
from ballast.asking import chat, thinking
from ballast.asking.loading import load_tokenizer
from ballast.asking.prompts import prompt_ids, prompt_template
from ballast.asking.store import Store
from ballast.files import digest, write_json
from ballast.identity import backend_identity


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    backend = plugins.load("backends", options["backend"])
    tokenizer = load_tokenizer(arguments.model)
    template = prompt_template(tokenizer, options)
    files = dict(argument.split("=", 1) for argument in arguments.benchmarks)
    prompts = schemas.read_prompts(files)
    ids = [prompt_ids(tokenizer, template.render(prompt)) for prompt in prompts["prompt"]]
    store = None
    if arguments.partial:
        store = Store(arguments.partial, backend_identity(options["backend"], arguments.model, options), options)
    responses = backend.generate(arguments.model, arguments.adapter, ids, options, store)
    # A template may open the block of reasoning; then the response begins inside of it, and says so.
    responses["response"] = thinking.opening(template.render("{instruction}")) + responses["response"]
    reasoning, unfinished = thinking.counts(responses["response"].tolist())
    schemas.write(arguments.out, pd.concat([prompts, responses], axis=1), schemas.RESPONSES)
    counts = {
        "responses": len(responses),
        "responses_cut": int((responses["finish_reason"] == "length").sum()),
        "prompts_cut": int(responses["prompt_cut"].sum()),
        "responses_with_reasoning": reasoning,
        "responses_still_thinking": unfinished,
    }
    adapter = arguments.adapter and digest(f"{arguments.adapter}/adapter_model.safetensors")
    rendered = hashlib.sha256(template.render("{instruction}").encode()).hexdigest()
    trained = {"weights_sha256": digest(arguments.trained)} if arguments.trained else {}
    names = ("decoding", "max_new_tokens", "max_prompt_tokens", "prompt", "system")
    settings = trained | {name: options[name] for name in names}
    if options["prompt"] == "chat":
        settings |= {"chat_template": options.get("chat_template"), "date_in_prompts": chat.date_in(tokenizer)}
    write_json(
        arguments.record,
        {"adapter_sha256": adapter, "template_sha256": rendered} | settings | counts | backend.record(options),
    )
    if arguments.partial:
        shutil.rmtree(arguments.partial, ignore_errors=True)
    print(
        f"{counts['responses']} responses, {counts['responses_cut']} cut at {options['max_new_tokens']} tokens; "
        f"{counts['prompts_cut']} prompts over {options['max_prompt_tokens']} tokens cut in their middle; "
        f"{reasoning} responses with reasoning, which no judge reads; {unfinished} still thinking at their end",
        file=sys.stderr,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter")
    parser.add_argument("--trained", help="the model's file of weights, if the run trained it")
    parser.add_argument("--options", required=True)
    parser.add_argument("--benchmarks", nargs="+", required=True)
    parser.add_argument("--partial")
    parser.add_argument("--out", required=True)
    parser.add_argument("--record", required=True)
    main(parser.parse_args())
