"""Adapters that other libraries write: what is laid over a model, and what is refused in one line."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from ballast.backends import transformers as backend
from ballast.files import BallastError

OPTIONS = {"decoding": "greedy", "max_new_tokens": 6, "max_prompt_tokens": 64, "long_prompts": "fail"}
OPTIONS |= {"batch_size": 4, "dtype": "float32"}
PROMPTS = [[1, 10, 20, 30], [1, 40, 50]]


def save(model: str, folder: Path, tokens: int = 0, **config) -> str:
    """Write an adapter with plain peft, whose weights are far from none."""
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_pretrained(model)
    if tokens:
        tokenizer = AutoTokenizer.from_pretrained(model)
        tokenizer.add_tokens([f"<new{number}>" for number in range(tokens)])
        network.resize_token_embeddings(len(tokenizer))
        tokenizer.save_pretrained(folder)
    known = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False}
    network = get_peft_model(network, LoraConfig(task_type="CAUSAL_LM", **known | config))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "modules_to_save" in name:
                weight.add_(0.05 * torch.randn_like(weight))
    network.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    "config",
    [{}, {"use_rslora": True}, {"use_dora": True}, {"modules_to_save": ["lm_head"]}, {"bias": "all"}],
    ids=["plain", "rslora", "dora", "modules_to_save", "bias"],
)
def test_each_kind_of_lora_answers_as_peft_does(model, tmp_path, config):
    from peft import PeftModel

    adapter = save(model, tmp_path / "adapter", **config)
    ours = backend.generate(model, adapter, PROMPTS, OPTIONS)
    network = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), adapter).eval()
    tokenizer = AutoTokenizer.from_pretrained(model)
    for prompt, said in zip(PROMPTS, ours["response"], strict=True):
        whole = network.generate(input_ids=torch.tensor([prompt]), max_new_tokens=6, do_sample=False)
        assert tokenizer.decode(whole[0, len(prompt) :], skip_special_tokens=True) == said
    assert ours["response"].tolist() != backend.generate(model, None, PROMPTS, OPTIONS)["response"].tolist()


def test_an_adapter_of_another_model_is_refused_in_one_line(model, tmp_path):
    adapter = Path(save(model, tmp_path / "adapter"))
    weights = load_file(adapter / "adapter_model.safetensors")
    more = {name.replace("layers.1.", "layers.7."): weight.clone() for name, weight in weights.items()}
    for other, said in ((weights | more, "has no place for 4 weights"), (dict(list(weights.items())[:5]), "needs 3 w")):
        save_file(other, adapter / "adapter_model.safetensors")
        with pytest.raises(BallastError, match=said) as error:
            backend.generate(model, str(adapter), PROMPTS, OPTIONS)
        assert "\n" not in str(error.value)


def test_an_adapter_with_added_tokens_is_refused_in_one_line(model, tmp_path):
    adapter = save(model, tmp_path / "adapter", tokens=3, modules_to_save=["embed_tokens", "lm_head"])
    with pytest.raises(BallastError) as error:
        backend.generate(model, adapter, PROMPTS, OPTIONS)
    assert "\n" not in str(error.value) and "merge" in str(error.value)
