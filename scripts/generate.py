"""Answer every benchmark's prompts with one model and adapter: one start of the backend for all of them.

generate.py --model DIR [--adapter DIR] --template FILE --options JSON --benchmarks F... --out F...
"""

import argparse
import json
import sys

import pandas as pd

from ballast import plugins, schemas
from ballast.backends.transformers import load_tokenizer
from ballast.prompts import PromptTemplate, prompt_ids


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    backend = plugins.load("backends", options["backend"])
    template = PromptTemplate.load(arguments.template)
    tokenizer = load_tokenizer(arguments.model)
    benchmarks = [schemas.read(path, schemas.BENCHMARK) for path in arguments.benchmarks]
    prompts = pd.concat(benchmarks, keys=range(len(benchmarks)))
    ids = [prompt_ids(tokenizer, template.render(prompt)) for prompt in prompts["prompt"]]
    responses = backend.generate(arguments.model, arguments.adapter, ids, options).set_index(prompts.index)
    for number, out in enumerate(arguments.out):
        table = pd.concat([prompts.loc[number], responses.loc[number]], axis=1)
        schemas.write(out, table, schemas.RESPONSES)
    cut, long = int((responses["finish_reason"] == "length").sum()), int(responses["prompt_cut"].sum())
    print(
        f"{len(responses)} responses, {cut} cut at {options['max_new_tokens']} tokens; "
        f"{long} prompts over {options['max_prompt_tokens']} tokens cut in their middle",
        file=sys.stderr,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter")
    parser.add_argument("--template", required=True)
    parser.add_argument("--options", required=True)
    parser.add_argument("--benchmarks", nargs="+", required=True)
    parser.add_argument("--out", nargs="+", required=True)
    main(parser.parse_args())
