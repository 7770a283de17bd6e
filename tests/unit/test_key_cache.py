"""The cache with room taken once: the answers of transformers' own cache, from less work."""

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM, set_seed

from ballast.asking import key_cache
from ballast.backends import transformers as backend

PROMPTS = [[1], [1, 40, 41], [1, *range(50, 90)], [1, *range(60, 80)], [1, 2, 3]]


@pytest.fixture
def continued(model):
    """Continuations of a batch by the backend, or by the cache that transformers takes itself."""
    network, tokenizer = backend.load_model(model), backend.load_tokenizer(model)
    torch.set_num_threads(1)

    def ask(beams: int, prompts: list[list[int]], own: bool = True) -> list[list[int]]:
        with pytest.MonkeyPatch.context() as patch:
            if not own:
                patch.setattr(backend, "key_cache", lambda *_: {})
            return backend.continuations(network, tokenizer, 24, beams, prompts)

    return ask


@pytest.mark.parametrize("beams", [1, 4])
def test_answers_are_those_of_the_usual_cache(continued, beams):
    for prompts in (PROMPTS, PROMPTS[:1], PROMPTS[2:3], [ids[:1] for ids in PROMPTS]):
        assert continued(beams, prompts) == continued(beams, prompts, own=False)
    answers = continued(beams, PROMPTS)
    assert len({tuple(ids) for ids in answers}) == len(PROMPTS), "else a mix-up would not show"


def test_beams_read_a_prompt_once_and_move_only_what_they_wrote(continued, monkeypatch):
    read, moved = [], []
    update, reorder = key_cache.RoomyLayer.update, key_cache.RoomyLayer.reorder_cache

    def counted_update(layer, keys, values, *rest, **more):
        read.append(tuple(keys.shape[i] for i in (0, 2)))
        return update(layer, keys, values, *rest, **more)

    def counted_reorder(layer, rows):
        before = layer.keys[:, :, : layer.prompt].clone()
        reorder(layer, rows)
        assert torch.equal(before, layer.keys[:, :, : layer.prompt])
        moved.append((rows.tolist(), layer.keys.shape[2] - layer.prompt))

    monkeypatch.setattr(key_cache.RoomyLayer, "update", counted_update)
    monkeypatch.setattr(key_cache.RoomyLayer, "reorder_cache", counted_reorder)
    continued(4, PROMPTS)
    assert read[0] == (5, 40) and set(read[2:]) == {(20, 1)}, "five rows of 41 tokens, then a token for each beam"
    assert any(rows != sorted(rows) for rows, _ in moved), "beams did cross"
    assert all(row // 4 == number // 4 for rows, _ in moved for number, row in enumerate(rows)), "within a prompt"


def test_a_model_with_a_sliding_window_keeps_its_own_cache():
    set_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = torch.ones(1, 4, dtype=torch.long)
    for window, kept in ((None, {"past_key_values"}), (8, set())):
        config = MistralConfig(vocab_size=32, num_key_value_heads=2, sliding_window=window, **sizes)
        inputs = {"input_ids": ids, "attention_mask": ids}
        assert set(key_cache.key_cache(MistralForCausalLM(config), inputs, 4, 1)) == kept
