"""A tiny random Llama of the mini world and three adapters, as folders."""

import json
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

from ballast.study.world_options import WorldOptions
from ballast.world.language import Writer

CHAT = "{{ bos_token }}{% for message in messages %}[{{ message.role }}] {{ message.content }}{% endfor %}[answer]"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> SimpleNamespace:
    """model (folder), adapters (three folders), prompts (200 lists of ids) and texts, all of the mini world's words."""
    torch.set_num_threads(1)
    writer = Writer(WorldOptions(), "vllm")
    requests = [writer.request(kind, number % 14).text for number in range(300) for kind in ("harmful", "borderline")]
    home = tmp_path_factory.mktemp("tiny")
    tokenizer = _tokenizer([*requests, json.dumps({"categories": [0, 1], "none": None})])
    tokenizer.save_pretrained(home / "model")
    set_seed(0)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            initializer_range=0.1,  # varied answers
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    # A random model hardly ever ends an answer; a longer row makes EOS the most likely token now and then.
    network.lm_head.weight.data[tokenizer.eos_token_id] *= 1.5
    # A checkpoint's own generation config may ask for sampling, which no backend may follow, and name more ends.
    network.generation_config.update(eos_token_id=[tokenizer.eos_token_id, *range(300, 330)], do_sample=True, top_k=5)
    network.save_pretrained(home / "model")
    adapters = [_adapter(home / "model", home / name, seed) for seed, name in enumerate("abc", start=1)]
    opening = tokenizer(" ".join(requests[:20]))["input_ids"][:160]  # longer than a block of the prefix cache
    prompts = [tokenizer(text)["input_ids"] for text in requests[:200]]
    prompts = [opening + ids[1:] if number % 2 else ids for number, ids in enumerate(prompts)]
    random.Random(0).shuffle(prompts)
    return SimpleNamespace(model=str(home / "model"), adapters=adapters, prompts=prompts, texts=requests)


def _tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<pad>", "<s>", "</s>"]
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=1000, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", chat_template=CHAT
    )


def _adapter(model: Path, folder: Path, seed: int) -> str:
    set_seed(seed)
    config = LoraConfig(
        task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], init_lora_weights=False
    )
    network = get_peft_model(LlamaForCausalLM.from_pretrained(str(model)), config)
    network.save_pretrained(str(folder))
    return str(folder)
