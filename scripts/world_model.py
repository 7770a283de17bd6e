"""Make a base model of the mini world: pretrain one from scratch, or align a pretrained one."""

import argparse
from pathlib import Path

from ballast.asking.prompts import PromptTemplate
from ballast.files import BallastError
from ballast.study.world_options import WorldOptions
from ballast.world import models


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", default="{}", help="JSON text of world options")
    parser.add_argument("--family", required=True, choices=sorted(models.FAMILIES))
    parser.add_argument("--stage", required=True, choices=("pretrained", "aligned"))
    parser.add_argument("--start", type=Path, help="pretrained model that is aligned")
    parser.add_argument("--tokenizer", required=True, type=Path)
    parser.add_argument("--template", required=True, type=Path, help="prompt template of the study")
    parser.add_argument("--out", required=True, type=Path, help="folder of the model")
    arguments = parser.parse_args(argv)
    options = WorldOptions.parse(arguments.options)
    template = PromptTemplate.load(arguments.template)
    tokenizer = models.load_tokenizer(arguments.tokenizer)
    models.one_thread()
    if arguments.stage == "pretrained":
        model = models.pretrain(options, arguments.family, tokenizer, template)
    else:
        if arguments.start is None:
            raise BallastError("--stage aligned wants --start, the folder of the pretrained model")
        start = models.load_model(arguments.start)
        if start.config.model_type != arguments.family or start.config.vocab_size != len(tokenizer):
            raise BallastError(f"{arguments.start}: not a {arguments.family} of this tokenizer; make it again")
        model = models.align(options, start, tokenizer, template)
    models.save_model(model, arguments.out, generation=True)
    models.copy_tokenizer(arguments.tokenizer, arguments.out)


if __name__ == "__main__":
    main()
