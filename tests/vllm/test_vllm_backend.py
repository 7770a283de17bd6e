"""Real vLLM on this machine's CPU against the transformers backend: the same ids in, the same tokens out."""

import json
import math
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from helpers.preloaded import STAGE, preloaded
from safetensors.torch import save_file

from ballast import schemas
from ballast.asking import keep_model, language_model
from ballast.asking.decoding import continued
from ballast.asking.store import Store
from ballast.backends import transformers, vllm
from ballast.files import BallastError, read_json, write_json

pytestmark = pytest.mark.vllm

OPTIONS = {
    "decoding": "greedy",
    "max_new_tokens": 32,
    "max_prompt_tokens": 400,
    "long_prompts": "cut",
    "batch_size": 64,
    "dtype": "float32",
}
ASKING = {"batch_size": 64, "max_length": 400, "dtype": "float32", "chat": False}
SCHEMA = {
    "type": "object",
    "properties": {"categories": {"type": "array", "items": {"enum": list(range(14))}, "maxItems": 2}},
    "required": ["categories"],
    "additionalProperties": False,
}
ODD = ["{instruction}", "{0} {", "100 %s %(x)d %", "</s> after an end", "<pad> and <s> inside", "[user] {{ x }}\n", " "]


@pytest.fixture(scope="module")
def right(tiny) -> dict:
    """What transformers answers to the 200 prompts, by adapter; None is the model as it is."""
    adapters = [None, *tiny.adapters]
    return {adapter: transformers.generate(tiny.model, adapter, tiny.prompts, OPTIONS) for adapter in adapters}


def test_the_model_and_three_adapters_answer_200_prompts_as_transformers_does(tiny, right):
    for adapter in [None, *tiny.adapters]:
        table = vllm.generate(tiny.model, adapter, tiny.prompts, OPTIONS)
        assert len(table) == 200 and table.equals(right[adapter])
    # Else little would be compared: answers vary, all four models differ, and both ways to end occur.
    assert all(table["response"].nunique() > 150 for table in right.values())
    assert all(set(table["finish_reason"]) == {"stop", "length"} for table in right.values())
    assert len({tuple(table["response"]) for table in right.values()}) == 4


def test_every_end_that_the_model_declares_ends_an_answer(tiny):
    tokenizer = transformers.load_tokenizer(tiny.model)
    assert tokenizer.ends == [tokenizer.eos_token_id, *range(300, 330)]
    with vllm._engine(tiny.model, OPTIONS, 432) as engine:
        tokens = vllm._greedy(engine, OPTIONS, None, tiny.prompts)
    assert all(token not in tokenizer.ends for ids in tokens for token in ids[:-1])
    assert {ids[-1] for ids in tokens} & set(range(300, 330))


def test_no_order_of_adapters_gives_one_the_answers_of_another(tiny, right):
    a, b, c = tiny.adapters
    prompts, tokenizer = tiny.prompts[:40], transformers.load_tokenizer(tiny.model)
    with vllm._engine(tiny.model, OPTIONS, 432, tiny.adapters) as engine:
        for number, adapter in enumerate([c, None, a, None, b, c], start=1):
            tokens = vllm._greedy(engine, OPTIONS, adapter and vllm._lora_request(adapter, number), prompts)
            table = vllm.responses(tokenizer, prompts, prompts, tokens)
            assert table["response"].tolist() == right[adapter]["response"][:40].tolist()


def test_one_call_that_mixes_the_model_and_adapters_answers_wrongly(tiny, right):
    """Why the backend never does it. Where this fails, vLLM has changed: read the backend's docstring again."""
    prompts = tiny.prompts[:40]
    with vllm._engine(tiny.model, OPTIONS, 432, tiny.adapters) as engine:
        loras = [None, *(vllm._lora_request(adapter, number) for number, adapter in enumerate(tiny.adapters, start=1))]
        asked = [{"prompt_token_ids": ids} for ids in prompts for _ in loras]
        outputs = engine.generate(asked, vllm._params(32), lora_request=loras * len(prompts), use_tqdm=False)
    mixed = [list(output.outputs[0].token_ids) for output in outputs]
    tokenizer = transformers.load_tokenizer(tiny.model)
    tables = [vllm.responses(tokenizer, prompts, prompts, mixed[start :: len(loras)]) for start in range(len(loras))]
    agree = [
        sum(table["response"] == right[adapter]["response"][:40]) for table, adapter in zip(tables, right, strict=True)
    ]
    print("base and adapters right of 40 in a mixed call:", agree)
    assert agree[0] == 0 and agree[1:] == [40, 40, 40]


def test_beam_search_answers_as_transformers_does(tiny):
    """The engine's own search agrees in 133 of 180 such answers, mostly where answers end: see `_Beams`."""
    options = OPTIONS | {"decoding": "beam4", "max_new_tokens": 16, "batch_size": 20}
    adapters, prompts = [None, tiny.adapters[0]], tiny.prompts[:30]
    ours, theirs = (
        [backend.generate(tiny.model, adapter, prompts, options) for adapter in adapters]
        for backend in (vllm, transformers)
    )
    agree = [sum(table["response"] == other["response"]) for table, other in zip(ours, theirs, strict=True)]
    print("beam search agrees with transformers in", agree, "of 30")
    assert agree == [30, 30] and all(table.equals(other) for table, other in zip(ours, theirs, strict=True))
    greedy = transformers.generate(tiny.model, None, prompts, options | {"decoding": "greedy"})
    assert sum(greedy["response"] != ours[0]["response"]) > 10


def test_beam_search_stops_where_no_open_answer_can_catch_up():
    def following(**logprobs):
        return {int(name[1:]): SimpleNamespace(logprob=value) for name, value in logprobs.items()}

    search = vllm._Beams([1], width=2, limit=9, eos=2)
    search.extend([following(_5=-0.5, _2=-1.0, _6=-2.0)])
    assert search.finished == [(-1.0, [2])] and search.running == [(-0.5, [5]), (-2.0, [6])]
    search.extend([following(_2=-0.1, _7=-3.0), following(_7=-0.3, _8=-3.0)])
    # The worst that ended has -1.0 a token; the best that could go on, [6, 7], has -2.3 / 2.
    assert search.finished[0] == (-0.3, [5, 2]) and not search.running


@pytest.mark.parametrize("chat", [False, True])
def test_answers_and_odd_texts_come_as_from_transformers(tiny, chat):
    options = ASKING | {"chat": chat, "max_length": 60}
    texts = [*tiny.texts[:20], *ODD, " ".join(tiny.texts[:20])]
    answers = vllm.answer(tiny.model, texts, options, 16)
    assert answers == transformers.answer(tiny.model, texts, options, 16)
    assert answers[-1] is None and None not in answers[:-1]


def test_first_token_gives_the_raw_log_probabilities_of_the_asked_ids_and_the_likeliest_id(tiny):
    texts, ids = [*tiny.texts[:20], *ODD, " ".join(tiny.texts[:20])], [400, 5, 400, 2]
    options = ASKING | {"max_length": 60}
    *ours, long = vllm.first_token(tiny.model, texts, options, ids)
    *theirs, other_long = transformers.first_token(tiny.model, texts, options, ids)
    assert long is None and other_long is None
    assert [top for _, top in ours] == [top for _, top in theirs] and not {top for _, top in ours} <= set(ids)
    gaps = [
        abs(x - y) for (row, _), (other, _) in zip(ours, theirs, strict=True) for x, y in zip(row, other, strict=True)
    ]
    print("largest difference of a log-probability:", max(gaps))
    assert len(gaps) == len(ours) * len(ids) and max(gaps) < 1e-4
    # Nothing was renormalised over the ids asked for.
    assert all(sum(math.exp(value) for value in set(row)) < 0.9 for row, _ in ours)


def test_a_schema_constrains_every_answer(tiny):
    texts = tiny.texts[:20]
    for text in vllm.answer(tiny.model, texts, ASKING, 32, schema=SCHEMA):
        value = json.loads(text)
        assert list(value) == ["categories"] and len(value["categories"]) <= 2
        assert set(value["categories"]) <= set(range(14))
    assert not any(answer.startswith("{") for answer in transformers.answer(tiny.model, texts, ASKING, 32))


def test_long_prompts_are_cut_and_counted_or_fail(tiny, right):
    longest = max(map(len, tiny.prompts))
    options = OPTIONS | {"max_prompt_tokens": longest - 5, "max_new_tokens": 8}
    prompts = tiny.prompts[:40]
    cut, other = (backend.generate(tiny.model, None, prompts, options) for backend in (vllm, transformers))
    assert cut.equals(other)
    assert cut["prompt_cut"].tolist() == [len(ids) > longest - 5 for ids in prompts] and cut["prompt_cut"].any()
    with pytest.raises(BallastError, match="max_prompt_tokens"):
        vllm.generate(tiny.model, None, tiny.prompts, options | {"long_prompts": "fail"})


def test_prompts_that_the_model_has_no_positions_for_are_an_error(tiny):
    with pytest.raises(BallastError, match="do not fit the model's 512 positions; .* to 480"):
        vllm.generate(tiny.model, None, [[1] * 481], OPTIONS | {"max_prompt_tokens": 500})
    # The limits together may be more than the model holds, as long as the prompts are not.
    assert vllm._length(tiny.model, [[1] * 480], 500, 32) == 512
    assert vllm._length(tiny.model, [[1] * 10], 400, 32) == 432


@pytest.mark.skipif(torch.cuda.is_available(), reason="the kernels of a GPU know more head sizes")
def test_a_head_size_that_the_kernels_do_not_know_is_an_error(tiny, tmp_path):
    write_json(tmp_path / "config.json", read_json(f"{tiny.model}/config.json") | {"head_dim": 24})
    save_file({}, tmp_path / "model.safetensors")
    with pytest.raises(BallastError, match="heads have size 24, .* 32, 64"), vllm._engine(str(tmp_path), ASKING, 32):
        pass


def test_prompts_go_in_by_prefix_in_chunks_and_answers_come_back_in_order():
    prompts = [[1, 9], [1, 2, 3], [1], [1, 2]]

    class Engine:
        asked = []

        def generate(self, asked, params, lora_request, use_tqdm):
            self.asked.append([prompt["prompt_token_ids"] for prompt in asked])
            return [type("Output", (), {"outputs": [ids]}) for ids in self.asked[-1]]

    engine = Engine()
    chunks = vllm._chunks(prompts, 3)
    assert continued(prompts, chunks, None, None, lambda asked: vllm._run(engine, asked, None)) == prompts
    assert engine.asked == [sorted(prompts)[:3], sorted(prompts)[3:]]


def test_a_killed_job_has_kept_its_chunks_and_one_engine_answers_the_rest(tiny, tmp_path, monkeypatch):
    """Words and tokens: a later job asks only for what is missing, and says the same."""
    monkeypatch.setattr(vllm, "CHUNK", 8)
    texts, runs, run = tiny.texts[:20], [], vllm._run

    def counted(engine, prompts, *rest):
        runs.append((id(engine), len(prompts)))
        if len(runs) == 2:
            raise KeyboardInterrupt
        return run(engine, prompts, *rest)

    monkeypatch.setattr(vllm, "_run", counted)
    options = ASKING | {"backend": "vllm", "model": tiny.model, "store": str(tmp_path / "store")}
    with pytest.raises(KeyboardInterrupt):
        language_model.ask(texts, options, 8)
    said = language_model.ask(texts, options, 8)
    assert said.kept == 8 and [count for _, count in runs] == [8, 8, 8, 4] and runs[2][0] == runs[3][0]
    assert said.answers == vllm.answer(tiny.model, texts, ASKING, 8)
    runs.clear()
    store = Store(tmp_path / "partial")
    with pytest.raises(KeyboardInterrupt):
        vllm.generate(tiny.model, None, tiny.prompts[:20], OPTIONS, store)
    table = vllm.generate(tiny.model, None, tiny.prompts[:20], OPTIONS, Store(tmp_path / "partial"))
    assert [count for _, count in runs] == [8, 8, 8, 4]
    assert table.equals(vllm.generate(tiny.model, None, tiny.prompts[:20], OPTIONS))


def test_two_jobs_start_the_engine_once_and_other_settings_free_it_first(tiny, monkeypatch):
    told, texts = [], tiny.texts[:20]
    engine = vllm._engine

    @contextmanager
    def watched(*arguments):
        with engine(*arguments) as started:
            told.append("starts")
            yield started
        told.append("ends")

    alone = vllm.answer(tiny.model, texts, ASKING, 8)
    monkeypatch.setattr(vllm, "_engine", watched)
    monkeypatch.setattr(keep_model, "_kept", keep_model.Kept())
    assert vllm.answer(tiny.model, texts[:12], ASKING, 8) == alone[:12]
    assert vllm.answer(tiny.model, texts[4:], ASKING, 8) == alone[4:]
    assert told == ["starts"]
    vllm.answer(tiny.model, texts[:2], ASKING | {"batch_size": 8}, 8)
    assert told == ["starts", "ends", "starts"]
    keep_model._kept.drop()
    assert told[3:] == ["ends"]


def test_two_judge_jobs_of_a_preloaded_process_start_the_engine_once(tiny, tmp_path):
    table = {"benchmark": "b", "id": list("abc"), "prompt": tiny.texts[:3], "response": tiny.texts[3:6], "category": 0}
    table |= {"finish_reason": "stop", "prompt_tokens": 1, "response_tokens": 1, "prompt_cut": False}
    schemas.write(tmp_path / "responses.parquet", pd.DataFrame(table), schemas.RESPONSES)
    (tmp_path / "template.json").write_text(json.dumps({"template": "{prompt} {response}"}))
    options = ASKING | {"backend": "vllm", "model": tiny.model, "max_unparsable": 1.0, "template": "template.json"}
    files = ["--benchmark", "b", "--responses", "responses.parquet", "--out", "out.parquet"]
    job = [*STAGE, "judge", "--judge", "md-judge", "--options", json.dumps(options), *files]
    with preloaded() as environment:
        said = [subprocess.run(job, cwd=tmp_path, env=environment, capture_output=True, text=True) for _ in range(2)]
    assert [done.returncode for done in said] == [0, 0], said[0].stderr + said[1].stderr
    assert f"{tiny.model}: loaded, and kept for the next job" in said[0].stderr
    assert f"{tiny.model}: kept from the job before" in said[1].stderr


def test_an_adapter_is_named_by_its_content(tiny, tmp_path):
    vllm._vllm()
    names = [vllm._lora_request(adapter, 1).lora_name for adapter in tiny.adapters]
    assert len(set(names)) == 3 and all(len(name) == 64 for name in names)
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        with open(f"{tiny.adapters[0]}/{file}", "rb") as source:
            (tmp_path / file).write_bytes(source.read())
    assert vllm._lora_request(str(tmp_path), 2).lora_name == names[0]
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(BallastError, match="no adapter here"):
        vllm._lora_request(str(tmp_path), 3)


def test_ranks_are_rounded_up_to_what_vllm_takes(tmp_path):
    for rank in (4, 20, 600):
        write_json(tmp_path / str(rank) / "adapter_config.json", {"r": rank})
    assert vllm._rank([str(tmp_path / "4")]) == 8
    assert vllm._rank([str(tmp_path / "20"), str(tmp_path / "4")]) == 32
    with pytest.raises(BallastError, match="rank 600 is more than vLLM takes"):
        vllm._rank([str(tmp_path / "600")])


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"use_rslora": True, "bias": "none", "init_lora_weights": "gaussian", "rank_pattern": {"q_proj": 20}}, None),
    ],
)
def test_a_kind_of_adapter_that_vllm_would_misread_is_refused_in_one_line(tmp_path, config, named):
    write_json(tmp_path / "adapter_config.json", {"r": 8} | config)
    if named is None:
        assert vllm._rank([str(tmp_path)]) == 32
    else:
        with pytest.raises(BallastError, match=f"vLLM takes no adapter with {named}; use backend: transformers"):
            vllm._rank([str(tmp_path)])


def test_the_record_says_what_shapes_an_answer(monkeypatch):
    monkeypatch.setenv("VLLM_BATCH_INVARIANT", "1")
    record = vllm.record(ASKING)
    assert record["backend"] == "vllm" and record["vllm"] == "0.32.0" and record["dtype"] == "float32"
    assert {"torch", "transformers", "device", "max_num_seqs", "enable_prefix_caching", "seed"} <= set(record)
    assert record["VLLM_BATCH_INVARIANT"] == "1" and record["enforce_eager"] == (record["device"] == "cpu")
    monkeypatch.delenv("VLLM_BATCH_INVARIANT")
    assert vllm.record(ASKING)["VLLM_BATCH_INVARIANT"] == "0"
    assert os.environ["VLLM_NO_USAGE_STATS"] == "1"


def test_without_vllm_the_error_names_the_environment(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(BallastError, match="make test-vllm"):
        vllm.generate(tiny.model, None, tiny.prompts[:1], OPTIONS)


def test_a_model_that_vllm_does_not_know_is_one_line(tiny, tmp_path):
    write_json(
        tmp_path / "config.json", {"architectures": ["DebertaV2ForSequenceClassification"], "model_type": "deberta-v2"}
    )
    save_file({}, tmp_path / "model.safetensors")
    with (
        pytest.raises(BallastError, match=f"{tmp_path}: vLLM cannot run it") as error,
        vllm._engine(str(tmp_path), ASKING, 32),
    ):
        pass
    assert "\n" not in str(error.value)


def test_the_prefix_cache_spares_what_is_computed_by_hand_and_simulated(tiny, monkeypatch):
    """Eight prompts of 64 shared tokens, two blocks, and five of their own: seven find the two blocks."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import prefix_cache

    prompts = [[*range(10, 74), *range(100 + 5 * number, 105 + 5 * number)] for number in (3, 1, 7, 0, 2, 6, 5, 4)]
    for adapter in (None, tiny.adapters[0]):
        for row in prefix_cache.measured(tiny.model, prompts, adapter, sizes=(None,)):
            assert row["hits"] == row["simulated"] == {"unlimited": round(7 * 64 / (8 * 69), 4)}, (adapter, row)
