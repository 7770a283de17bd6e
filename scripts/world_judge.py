"""Make a judge's stand-in for the mini world, in the real judge's class and input format."""

import argparse
from pathlib import Path

from ballast.files import BallastError
from ballast.study.world_options import WorldOptions
from ballast.world import guards, judges, models, pairwise

REWARDS = ("harm-rm", "helpful-rm")
CAUSAL = ("wildguard", "md-judge", "category-llm", "pairwise", *guards.LINES)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", default="{}", help="JSON text of world options")
    parser.add_argument("--judge", required=True, choices=(*REWARDS, *CAUSAL))
    parser.add_argument("--start", type=Path, help="pretrained model that a generative judge starts from")
    parser.add_argument("--template", type=Path, help="the judge's prompt template, for a generative judge")
    parser.add_argument("--tokenizer", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path, help="folder of the judge")
    arguments = parser.parse_args(argv)
    options, judge, out = WorldOptions.parse(arguments.options), arguments.judge, arguments.out
    models.one_thread()
    if judge in REWARDS:
        model = judges.make_reward(options, judge, arguments.tokenizer, out)
    elif arguments.start is None or arguments.template is None and judge not in guards.LINES:
        raise BallastError(f"--judge {judge} wants --start, the folder of a pretrained model, and --template")
    elif judge in guards.LINES:
        model = guards.make(options, judge, models.load_model(arguments.start), arguments.tokenizer, out)
    elif judge == "pairwise":
        start = models.load_model(arguments.start)
        model = pairwise.make(options, start, arguments.tokenizer, arguments.template, out)
    else:
        start = models.load_model(arguments.start)
        model = judges.make_causal(options, judge, start, arguments.tokenizer, arguments.template, out)
    models.save_model(model, out, generation=False)


if __name__ == "__main__":
    main()
