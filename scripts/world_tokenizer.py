"""Train the mini world's tokenizer on its language."""

import argparse
from pathlib import Path

from ballast.asking.prompts import PromptTemplate
from ballast.study.world_options import WorldOptions
from ballast.world.models import save_tokenizer, train_tokenizer


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", default="{}", help="JSON text of world options")
    parser.add_argument("--template", required=True, type=Path, help="prompt template of the study")
    parser.add_argument("--out", required=True, type=Path, help="folder of the tokenizer")
    arguments = parser.parse_args(argv)
    tokenizer = train_tokenizer(WorldOptions.parse(arguments.options), PromptTemplate.load(arguments.template))
    save_tokenizer(tokenizer, arguments.out)


if __name__ == "__main__":
    main()
