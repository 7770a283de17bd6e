"""Pages of the report, and what it says of a study beside its numbers."""

from pathlib import Path

import pytest
import yaml

from ballast.results import html, methods_text
from ballast.study import config

ROOT = Path(__file__).parents[2]


def study(name: str, **changes) -> config.Study:
    return config.load(config.read(ROOT / f"config/{name}.yaml") | changes)


@pytest.mark.parametrize("name", ["mini", "paper"])
def test_the_methods_say_what_the_config_says(name):
    said, given = methods_text.methods(study(name)), study(name)
    training = given.training
    for fact in (
        f"rank {training.lora.r} (alpha {training.lora.lora_alpha}, dropout {training.lora.lora_dropout:g})",
        f"{training.num_train_epochs} epochs in batches of {training.batch_size} rows",
        f"{training.learning_rate:g} after {training.warmup_steps} steps",
        f"at most {given.generation.max_new_tokens} tokens",
        f"{given.experiments.sampling.trials} trials",
        "loss on prompt and response" if training.train_on_prompt else "loss on the response alone",
    ):
        assert fact in said, fact
    assert ("says nothing" in said or "say nothing" in said) == given.synthetic
    assert said.startswith("# Methods\n\n") and said.count("\n") == 3, "one paragraph"


def test_one_model_and_one_trial_are_said_as_such():
    grid = {"models": ["llama"], "pools": ["safety"], "samplers": ["random"], "n": [7], "trials": 1}
    said = methods_text.methods(study("mini", experiments={"sampling": grid}))
    assert "by Random at n = 7 (" in said and "Each cell has 1 trial;" in said
    assert "to fine-tune Llama aligned: " in said


def test_the_config_page_is_the_config_with_its_defaults():
    given = study("mini")
    text = methods_text.config(given).removeprefix("# Config\n\n```yaml\n").removesuffix("```\n")
    assert config.load(yaml.safe_load(text)) == given and "max_grad_norm" in text


def test_the_software_page_has_what_a_number_depends_on():
    said = methods_text.software()
    for name in ("Python", "torch", "transformers", "peft", "snakemake"):
        assert f"| {name} " in said, name


def test_markup_in_a_document_is_shown_and_not_run():
    made = html.from_markdown("# A\n\n| b | c |\n|:--|:-:|\n| <script>x</script> | **2** |\n", "t <b>")
    assert "<h1>A</h1>" in made and "<table>" in made and "<strong>2</strong>" in made
    assert "<script>" not in made and "&lt;script&gt;" in made and "<title>t &lt;b&gt;</title>" in made
    assert "http:" not in made and "https:" not in made, "a page asks nobody for anything"


def test_a_text_keeps_its_lines():
    assert "<pre>a  &amp;\nb\n</pre>" in html.from_text("a  &\nb\n", "t")
