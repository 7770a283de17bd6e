"""Count the prompts that a model refuses before any training; stop if they are too few to measure their loss.

aligned_refusals.py --model NAME --responses RESPONSES.parquet --benchmark NAME --least SHARE --out F.json
"""

import argparse
import sys

from ballast import schemas
from ballast.data.refusal_words import is_refusal
from ballast.files import BallastError, write_json


def main(arguments: argparse.Namespace) -> None:
    responses = schemas.read(arguments.responses, schemas.RESPONSES)
    refused = responses["response"].map(is_refusal)
    counts = {
        name: {"prompts": len(each), "refused": int(each.sum())}
        for name, each in refused.groupby(responses["benchmark"], sort=True)
    }
    said = "; ".join(f"{name} {each['refused']} of {each['prompts']}" for name, each in counts.items())
    asked = counts[arguments.benchmark]
    if asked["refused"] < arguments.least * asked["prompts"]:
        raise BallastError(
            f"models.{arguments.model}.aligned: the start refuses too little to lose anything: {said}; "
            f"{arguments.least:.0%} of {arguments.benchmark} are needed. Give it more refusals, epochs or a higher "
            "learning rate, or lower `refuses`"
        )
    write_json(arguments.out, counts)
    print(f"{arguments.model} refuses, before any training: {said}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "responses", "benchmark", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--least", type=float, required=True)
    main(parser.parse_args())
