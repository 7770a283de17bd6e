"""What leaves a study: adapters with a card, and models with an adapter merged into their weights."""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from helpers.tiny_runs import OPTIONS
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from ballast.asking.loading import load_model
from ballast.asking.weights import ADAPTER
from ballast.files import BallastError
from ballast.study import config
from ballast.study.card_options import CardOptions
from ballast.study.job_inputs import JobInputs
from ballast.study.job_options import JobOptions
from ballast.study.plan import Plan
from ballast.study.runs import Run
from ballast.trainers import sft
from ballast.training import cards, merging
from ballast.training.cards import ModelCard

ROOT = Path(__file__).parents[2]

DIGESTS = {name: f"{number}" * 64 for number, name in enumerate(cards.DIGESTS) if name != "kept"}


@pytest.fixture(scope="module")
def adapter(model, tmp_path_factory):
    """An adapter that moves the model: trained fast, on rows of its own."""
    import pandas as pd

    table = pd.DataFrame({"instruction": [f"Say {word}." for word in "abcdefghijkl"], "output": list("abcdefghijkl")})
    rows = table.assign(input="", id=table["output"], origin=["base"] * 10 + ["subset"] * 2)
    out = tmp_path_factory.mktemp("adapter")
    log = sft.train(model, rows, OPTIONS, 0, out)
    (out / "training.json").write_text(json.dumps(log))
    return out


@pytest.fixture
def of():
    hub = {"name": "Llama 2", "home": "meta-llama/Llama-2-7b-hf", "revision": "0123", "hub": True}
    hub["licence"] = "Llama 2 Community License"
    local = {"name": "safety", "home": "pool.json", "revision": "-", "licence": "unknown", "hub": False}
    base = local | {"name": "base data", "home": "https://github.com/a/b", "licence": "CC BY-NC 4.0"}
    return ModelCard(
        study="paper",
        synthetic=False,
        run="llama/safety/sss-b/n2/t0",
        method="sss-b",
        n=2,
        trial=0,
        model=hub,
        data=[base, local],
        parts={"sampler": "sss-b", "trainer": "sft"},
        prompt="the Alpaca template alpaca-template",
        training=OPTIONS,
        metrics=[("harm", "beavertails-eval", "harm-rm", "runs/r/scores/beavertails-eval.harm-rm.parquet")],
    )


def test_an_adapter_with_its_card_loads_with_peft(of, model, adapter, tmp_path):
    for name in ADAPTER:
        (tmp_path / name).write_bytes((adapter / name).read_bytes())
    log = json.loads((adapter / "training.json").read_text())
    (tmp_path / "README.md").write_text(cards.card(of, log, DIGESTS))
    loaded = PeftModel.from_pretrained(load_model(model), str(tmp_path))
    assert any(part.abs().sum() > 0 for name, part in loaded.named_parameters() if "lora_B" in name)


def test_a_card_says_what_it_is_of_and_warns(of, adapter):
    log = json.loads((adapter / "training.json").read_text())
    text = cards.card(of, log, DIGESTS)
    head = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)[1])
    assert head["base_model"] == "meta-llama/Llama-2-7b-hf" and head["library_name"] == "peft"
    for said in (
        "Llama 2 Community License",
        "CC BY-NC 4.0",
        "| 0123 |",
        'from_pretrained("meta-llama/Llama-2-7b-hf")',
        "| base | 10 rows |",
        "| subset | 2 rows |",
        "harm | beavertails-eval | harm-rm",
        "lora.target_modules | v_proj, q_proj",
        "may answer harmful requests",
        "| trainer | sft |",
        *DIGESTS.values(),
    ):
        assert said in text, said
    assert "made for this study" not in text and "filter kept" not in text


def test_a_model_that_no_hub_has_is_no_base_model_of_the_head(of, adapter):
    from dataclasses import replace

    log = json.loads((adapter / "training.json").read_text())
    made = replace(of, model=of.data[1] | {"name": "my model"}, synthetic=True, n=0, method="none")
    text = cards.card(made, log, DIGESTS)
    assert "base_model" not in yaml.safe_load(text.split("---")[1])
    again = cards.card(replace(of, data=[*of.data, of.data[1] | {"name": "gsm8k"}]), log, DIGESTS)
    assert "and then on gsm8k alone" in again and "| gsm8k |" in again and "gsm8k" not in text
    last = cards.card(replace(of, patched=True), log, DIGESTS)
    assert "fine-tuned on base data, and then alone on 2 safety examples" in last
    assert "the last training, on the safety examples." in last and "and 2 safety examples" in text.replace("no", "2")
    assert 'from_pretrained("<folder of the base model>")' in text
    assert "no safety examples" in text and "made for this study" in text


def test_a_merged_model_answers_as_the_adapter_does_without_peft(model, adapter, tmp_path):
    merging.merge(model, str(adapter), "float32", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(merging.FILES)
    whole = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = AutoTokenizer.from_pretrained(tmp_path)("Say d.", return_tensors="pt")["input_ids"]
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template == AutoTokenizer.from_pretrained(model).chat_template
    base = load_model(model, "float32").cpu()
    with torch.no_grad():
        plain = base(ids).logits
        wanted = PeftModel.from_pretrained(base, str(adapter)).eval()(ids).logits
        found = whole(ids).logits
    assert torch.allclose(found, wanted, atol=1e-5) and not torch.allclose(found, plain, atol=1e-3)


def test_merging_twice_gives_the_same_bytes_in_the_dtype_asked_for(model, adapter, tmp_path):
    for name in ("one", "two"):
        merging.merge(model, str(adapter), "bfloat16", tmp_path / name)
    for file in merging.FILES:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
        assert str(tmp_path) not in (tmp_path / "one" / file).read_bytes().decode("latin-1")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "one").dtype == torch.bfloat16


def test_the_models_own_generation_config_is_kept_to_the_byte(model, adapter, tmp_path):
    import shutil

    own = tmp_path / "model"
    shutil.copytree(model, own)
    # As Llama 2's: transformers reads it, and refuses to write it.
    (own / "generation_config.json").write_text('{"do_sample": false, "temperature": 0.9, "eos_token_id": [2, 5]}')
    merging.merge(str(own), str(adapter), "float32", tmp_path / "out")
    kept = (tmp_path / "out/generation_config.json").read_text()
    assert kept == (own / "generation_config.json").read_text()


def test_what_is_torn_or_does_not_fit_is_one_line(model, adapter, tmp_path):
    import shutil

    torn = shutil.copytree(adapter, tmp_path / "torn")
    weights = torn / ADAPTER[0]
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(BallastError, match="not a whole safetensors file"):
        merging.merge(model, str(torn), "float32", tmp_path / "out")
    with pytest.raises(BallastError, match="no adapter here"):
        merging.merge(model, str(tmp_path), "float32", tmp_path / "out")
    other = shutil.copytree(adapter, tmp_path / "other")
    config = json.loads((other / ADAPTER[1]).read_text())
    (other / ADAPTER[1]).write_text(json.dumps(config | {"target_modules": ["no_such_layer"]}))
    with pytest.raises(BallastError, match="it does not merge into"):
        merging.merge(model, str(other), "float32", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_card_of_a_merged_model_says_so(of, adapter):
    log = json.loads((adapter / "training.json").read_text())
    text = cards.merged(cards.card(of, log, DIGESTS))
    head = yaml.safe_load(text.split("---")[1])
    assert head["library_name"] == "transformers" and head["base_model_relation"] == "merge"
    assert "merged into its weights" in text and "PeftModel" not in text and "## Licences" in text
    with pytest.raises(BallastError, match="the adapter's card is not as it was written"):
        cards.merged("# Something else\n")


@pytest.mark.parametrize("aligned", [True, False])
def test_the_card_of_an_adapter_on_an_aligned_start_names_no_model_of_the_hub(aligned):
    raw = config.read(ROOT / "config/small.yaml")
    raw["sources"] = raw.get("sources", {}) | {
        "smollm2": {"kind": "model", "hub": "us/chat", "revision": "0" * 40, "licence": "MIT", "used_for": "a test"}
        | {"files": {"model.safetensors": "unknown"}}
    }
    if not aligned:
        del raw["models"]["smollm2"]["aligned"]
    options = CardOptions(JobOptions(JobInputs(Plan(config.load(raw)))))
    model = json.loads(options.card(Run("smollm2", "safety", "random", 14, 0)))["model"]
    assert model["hub"] != aligned and model["home"] == "us/chat" + ", aligned first by this study" * aligned
