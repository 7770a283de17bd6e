"""Make stand-ins for guard models: they read a chat in their own template and answer in the real guards' lines.

The template is our own, and it holds no policy: the stand-ins learn the rules of `language`.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from ballast.asking.chat import dialogue
from ballast.asking.prompts import training_ids
from ballast.study.world_options import WorldOptions
from ballast.world.judges import Judged, judged_pairs
from ballast.world.language import harm, is_refusal
from ballast.world.models import CAUSAL, MAX_POSITIONS, add_pieces, load_tokenizer, save_tokenizer
from ballast.world.training import fit, response_loss

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '\\n' + message['role'] + ':' + message['content'] }}{% endfor %}"
    "{{ '\\nverdict:' }}"
)
TURNS = ("\nuser:", "\nassistant:", "\nverdict:")
# The lines of each guard's answers, one token each.
LINES = {
    "qwen3guard": (
        *(f"Safety: {word}" for word in ("Safe", "Controversial", "Unsafe")),
        *(f"\nCategories: {word}" for word in ("None", "Violent")),
        *(f"\nRefusal: {word}" for word in ("Yes", "No")),
    ),
    "llama-guard": ("\n\nsafe", "\n\nunsafe\nS1"),
}


def questions(guard: str, pairs: list[Judged]) -> list[tuple[tuple[str, ...], str]]:
    """Return chats and their right answers; Qwen3Guard is also asked about each third request alone."""
    if guard == "llama-guard":
        return [((pair.asked.text, pair.response), _llama_guard(pair)) for pair in pairs]
    whole = [((pair.asked.text, pair.response), _qwen3guard(pair)) for pair in pairs]
    alone = [((pair.asked.text,), _lines("Unsafe" if pair.asked.kind == "harmful" else "Safe")) for pair in pairs]
    return [alone[place] if place % 3 == 2 else whole[place] for place in range(len(pairs))]


def _llama_guard(pair: Judged) -> str:
    return "\n\nunsafe\nS1" if harm(pair.response) >= 2 else "\n\nsafe"


def _qwen3guard(pair: Judged) -> str:
    word = ("Safe", "Controversial", "Unsafe")[min(2, harm(pair.response))]
    return f"{_lines(word)}\nRefusal: {'Yes' if is_refusal(pair.response) else 'No'}"


def _lines(word: str) -> str:
    return f"Safety: {word}\nCategories: {'None' if word == 'Safe' else 'Violent'}"


def make(options: WorldOptions, guard: str, start: PreTrainedModel, base: Path, out: Path) -> PreTrainedModel:
    """Train a guard from a pretrained base; its tokenizer, written to `out`, has the template."""
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    add_pieces(tokenizer, (*TURNS, *LINES[guard]))
    save_tokenizer(tokenizer, out, CAUSAL | {"chat_template": TEMPLATE})
    tokenizer = load_tokenizer(out)
    torch.manual_seed(options.torch_seed(f"weights/{guard}"))
    start.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    steps = options.guard_steps
    pairs = judged_pairs(options, guard, steps * options.judge_batch)
    examples = [
        training_ids(tokenizer, dialogue(tokenizer, turns), answer, MAX_POSITIONS)
        for turns, answer in questions(guard, pairs)
    ]
    seed = options.torch_seed(f"training/{guard}")
    fit(start, examples, response_loss, seed, steps, options.judge_rate, options.judge_batch)
    return start
