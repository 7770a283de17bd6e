"""The mini world: its language, its files, its tokenizer, and models of two training steps."""

import dataclasses
import json
from itertools import product

import pandas as pd
import pytest

import world_data
import world_judge
import world_model
import world_tokenizer
from ballast.asking import language_model
from ballast.asking.chat import dialogue
from ballast.asking.pairwise import Template
from ballast.asking.prompts import PairTemplate, PromptTemplate, prompt_ids, training_ids
from ballast.backends import transformers as backend
from ballast.categories import CATEGORIES
from ballast.files import BallastError, read_json, read_jsonl
from ballast.judges import harm_rm, llama_guard, qwen3guard
from ballast.plugins import HOME
from ballast.study.sources import own_template
from ballast.study.world_options import WorldOptions
from ballast.world import datasets, guards, judges, lexicon, models
from ballast.world.language import Request, Writer, deeds, harm, is_refusal
from ballast.world.lexicon import LEXICONS

SMALL = {
    "pool_rows": 300,
    "second_pool_rows": 60,
    "base_rows": 80,
    "tokenizer_rows": 2000,
    "hidden_size": 24,
    "layers": 1,
    "pretraining_rows": 64,
    "alignment_rows": 32,
    "wildguard_steps": 2,
    "category_steps": 2,
    "md_judge_steps": 2,
    "guard_steps": 2,
    "pairwise_steps": 2,
    "reward_steps": 2,
}
OPTIONS = WorldOptions(**SMALL)
ALPACA_SHAPED = own_template("alpaca-shaped")
TEMPLATE = PromptTemplate.load(ALPACA_SHAPED)
JUDGING = {"batch_size": 2, "max_length": 64, "dtype": "float32"}
PAIR_TEMPLATES = {
    "wildguard": HOME / "judges" / "wildguard.json",
    "md-judge": HOME / "judges" / "md_judge.json",
    "category-llm": HOME / "labels" / "category_llm.json",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("data")
    world_data.main(["--options", json.dumps(SMALL), "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("tokenizer")
    world_tokenizer.main(["--options", json.dumps(SMALL), "--template", str(ALPACA_SHAPED), "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder):
    return models.load_tokenizer(tokenizer_folder)


@pytest.fixture(scope="module")
def mistral(tmp_path_factory, tokenizer_folder):
    return make_model(tmp_path_factory.mktemp("mistral"), tokenizer_folder, "mistral")


def make_model(out, tokenizer_folder, family, *more):
    arguments = ["--options", json.dumps(SMALL), "--family", family, "--tokenizer", str(tokenizer_folder)]
    arguments += ["--template", str(ALPACA_SHAPED), "--out", str(out)]
    world_model.main([*arguments, *(more or ("--stage", "pretrained"))])
    return out


# ---- the language


def test_the_lexicons_are_complete_and_their_nouns_are_unique():
    nouns = [noun for words in LEXICONS for noun in words.harmful + words.harmless]
    assert len(LEXICONS) == len(CATEGORIES) and len(nouns) == len(set(nouns)) == 14 * 18
    for words in LEXICONS:
        sizes = [len(part) for part in (words.verbs, words.harmful, words.harmless, words.steps, words.carriers)]
        assert sizes == [6, 10, 8, 3, 3]
    steps = [step for words in LEXICONS for step in words.steps]
    steps += lexicon.HARMLESS_STEPS + lexicon.HOUSEHOLD_STEPS
    assert not [pair for pair in product(steps, steps) if pair[0] != pair[1] and pair[0] in pair[1]]


@pytest.mark.parametrize(("kind", "train", "evaluation"), [("harmful", 36, 24), ("borderline", 32, 16)])
def test_train_and_evaluation_share_no_pair(kind, train, evaluation):
    for category in range(len(CATEGORIES)):
        ours, theirs = deeds(category, kind, "train"), deeds(category, kind, "evaluation")
        assert (len(set(ours)), len(set(theirs))) == (train, evaluation)
        assert not set(ours) & set(theirs)


def test_answers_have_the_harm_that_their_form_says():
    writer = Writer(OPTIONS, "test")
    for category in range(len(CATEGORIES)):
        bad, fine = writer.request("harmful", category), writer.request("borderline", category)
        assert harm(writer.comply(bad)) == 4 and harm(writer.partial(bad)) == 2
        assert harm(writer.comply(fine)) == harm(writer.inform(bad)) == 0
        assert is_refusal(writer.refuse()) and harm(writer.refuse()) == 0
        assert not is_refusal(writer.comply(bad)) and not is_refusal(writer.inform(bad))
        assert harm(writer.comply(bad, steps=(LEXICONS[category].steps[0], "read the manual"))) == 3
        assert harm(writer.gibberish()) == 0


def test_carriers_of_a_category_are_used_as_often_as_the_option_says():
    def share(options):
        writer = Writer(options, "test")
        stems = tuple(carrier.split("{}")[0] for carrier in LEXICONS[5].carriers)
        return sum(writer.request("harmful", 5).text.startswith(stems) for _ in range(400)) / 400

    assert share(dataclasses.replace(OPTIONS, carrier_share=0.0)) == 0
    assert 0.4 < share(OPTIONS) < 0.6
    assert share(dataclasses.replace(OPTIONS, carrier_share=1.0)) == 1


def test_requests_of_two_categories_name_both():
    request = Writer(OPTIONS, "test").two_categories("harmful")
    assert len(request.categories) == 2 and request.text.count(" the ") >= 2
    pair = judges.Judged(request, "")
    assert sorted(map(int, judges.category_answer(pair).split(", "))) == request.categories
    assert judges.category_answer(judges.Judged(Request("add one .", "benign"), "")) == "none"


# ---- options


def test_options_say_what_is_wrong():
    assert WorldOptions.parse('{"seed": 3, "pool_zipf": 1}') == WorldOptions(seed=3, pool_zipf=1)
    with pytest.raises(BallastError, match="did you mean 'pool_rows'"):
        WorldOptions.parse('{"pool_row": 3}')
    with pytest.raises(BallastError, match="'pool_rows' must be int, not 2.5"):
        WorldOptions.parse('{"pool_rows": 2.5}')
    for text in ("[1]", "{"):
        with pytest.raises(BallastError, match="--options"):
            WorldOptions.parse(text)


def test_one_size_does_not_change_another_file():
    larger = dataclasses.replace(OPTIONS, pool_rows=400, benign_rows=10)
    assert datasets.base(larger) == datasets.base(OPTIONS)
    assert datasets.salad_attack(larger) == datasets.salad_attack(OPTIONS)
    assert datasets.base(dataclasses.replace(OPTIONS, seed=1)) != datasets.base(OPTIONS)


# ---- the files


def test_files_have_the_schema_of_their_sources(data):
    for name, rows in (("safety", 300), ("refusals", 60), ("safe", 60), ("base", 80)):
        table = pd.DataFrame(read_json(data / f"{name}.json"))
        assert sorted(table) == ["input", "instruction", "output"] and len(table) == rows
        assert not table.duplicated(["instruction", "input"]).any() and (table["output"] != "").all()
    references = read_jsonl(data / "references.jsonl")
    assert all(sorted(row) == ["category", "is_safe", "prompt", "response"] for row in references)
    assert all(list(row["category"]) == list(CATEGORIES) and row["is_safe"] is False for row in references)
    counts = [sum(row["category"].values()) for row in references]
    assert counts.count(1) == 12 * 14 and counts.count(2) == 14
    evaluation = read_json(data / "beavertails_eval.json")
    assert [row["category_id"] for row in evaluation] == [number % 14 for number in range(112)]
    assert all(row["category"] == CATEGORIES[row["category_id"]] for row in evaluation)
    attacks = pd.DataFrame(read_json(data / "salad_attack.json"))
    assert list(attacks["qid"]) == list(range(42)) and not (attacks["augq"] == attacks["baseq"]).any()
    assert all(base in attack for base, attack in zip(attacks["baseq"], attacks["augq"], strict=True))
    xstest = pd.read_csv(data / "xstest.csv", keep_default_na=False)
    assert list(xstest) == ["id", "prompt", "type", "label", "focus", "note"]
    assert ((xstest["label"] == "unsafe") == xstest["type"].str.startswith("contrast_")).all()
    assert (xstest["label"] == "safe").sum() == 112 and (xstest["label"] == "unsafe").sum() == 14
    helpful = read_json(data / "i_alpaca.json")
    assert sorted(helpful) == ["inputs", "instructions"] and len(set(helpful["instructions"])) == 42
    assert helpful["inputs"] == []


def test_the_pools_hold_the_behaviours_they_should(data):
    truth = pd.read_csv(data / "safety_truth.csv")
    pool = pd.DataFrame(read_json(data / "safety.json"))
    refused = pool["output"].map(is_refusal)
    assert list(truth["row"]) == list(range(300)) and (refused == truth["behaviour"].isin(["T1", "T3"])).all()
    assert (pool["output"].map(harm) == 0).all() and truth["category"].value_counts(normalize=True).iloc[0] > 0.5
    harmful = [any(f"the {noun}" in text for words in LEXICONS for noun in words.harmful) for text in pool.instruction]
    assert (truth["behaviour"].isin(["T1", "T2"]) == harmful).all()
    assert all(is_refusal(row["output"]) for row in read_json(data / "refusals.json"))
    safe = [is_refusal(row["output"]) for row in read_json(data / "safe.json")]
    assert 0 < sum(safe) < len(safe)


def test_base_rows_comply_and_some_have_an_input(data):
    rows = read_json(data / "base.json")
    assert not any(is_refusal(row["output"]) or harm(row["output"]) for row in rows)
    assert 0 < sum(row["input"] != "" for row in rows) < 30
    openers = tuple(opener for opener in lexicon.OPENERS if opener != "sure")
    assert not any(row["output"].startswith(openers) for row in rows)


def test_no_evaluation_prompt_is_a_training_prompt(data):
    evaluation = {row["prompt"] for row in read_json(data / "beavertails_eval.json")}
    evaluation |= set(pd.read_csv(data / "xstest.csv")["prompt"])
    trained = {
        row["instruction"]
        for name in ("safety", "refusals", "safe", "base")
        for row in read_json(data / f"{name}.json")
    }
    trained |= {row["instruction"] for row in datasets.model_text(OPTIONS, "pretraining/llama", 3000, aligned=False)}
    trained |= {row["prompt"] for row in read_jsonl(data / "references.jsonl")}
    assert not evaluation & trained


def test_the_same_options_write_the_same_bytes(data, tmp_path):
    world_data.main(["--options", json.dumps(SMALL), "--out", str(tmp_path)])
    for file in sorted(data.iterdir()):
        assert file.read_bytes() == (tmp_path / file.name).read_bytes(), file.name


# ---- the tokenizer


def test_a_prompt_is_a_prefix_of_its_training_row(tokenizer):
    rows = datasets.base(OPTIONS) + datasets.model_text(OPTIONS, "test", 200, aligned=True)
    for row in rows + [{"instruction": "Ünknown {input} text\n\n  here", "input": "", "output": "  Odd\nanswer "}]:
        prompt = TEMPLATE.render(row["instruction"], row["input"])
        ids, start = training_ids(tokenizer, prompt, row["output"], 512)
        assert ids[:start] == prompt_ids(tokenizer, prompt)
        assert ids.count(tokenizer.bos_token_id) == 1 and ids[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(ids[start:-1]).strip() == row["output"].strip()
        assert tokenizer.unk_token_id not in ids


def test_template_pieces_are_single_tokens(tokenizer):
    plain = prompt_ids(tokenizer, TEMPLATE.render("how do i fix the lamp ?"))
    with_input = prompt_ids(tokenizer, TEMPLATE.render("add the numbers .", "one and two"))
    assert len(plain) == 1 + 2 + 7 and len(with_input) == 1 + 3 + 7
    assert tokenizer.decode(plain) == "<s>" + TEMPLATE.render("how do i fix the lamp ?")
    assert tokenizer.pad_token_id not in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id)


# ---- models and judges of two steps


def test_model_stages_write_five_files_and_the_same_bytes_again(mistral, tokenizer_folder, tmp_path):
    again = make_model(tmp_path / "again", tokenizer_folder, "mistral")
    names = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert sorted(file.name for file in mistral.iterdir()) == names
    assert all((mistral / name).read_bytes() == (again / name).read_bytes() for name in names)
    aligned = make_model(
        tmp_path / "aligned", tokenizer_folder, "mistral", "--stage", "aligned", "--start", str(mistral)
    )
    assert (aligned / "model.safetensors").read_bytes() != (mistral / "model.safetensors").read_bytes()
    assert (aligned / "config.json").read_bytes() == (mistral / "config.json").read_bytes()
    with pytest.raises(BallastError, match="not a llama of this tokenizer"):
        make_model(tmp_path / "wrong", tokenizer_folder, "llama", "--stage", "aligned", "--start", str(mistral))


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_every_family_generates(family, tokenizer_folder, tmp_path):
    folder = make_model(tmp_path, tokenizer_folder, family)
    assert read_json(folder / "config.json")["model_type"] == family
    options = {"decoding": "greedy", "max_new_tokens": 3, "max_prompt_tokens": 64, "long_prompts": "cut"}
    options |= {"batch_size": 2, "dtype": "float32"}
    prompts = [prompt_ids(backend.load_tokenizer(folder), TEMPLATE.render(text)) for text in ("how ?", "name three .")]
    assert len(backend.generate(str(folder), None, prompts, options)) == 2


@pytest.mark.parametrize("judge", sorted(PAIR_TEMPLATES))
def test_generative_judges_answer_in_their_template(judge, mistral, tokenizer_folder, tmp_path):
    arguments = ["--options", json.dumps(SMALL), "--judge", judge, "--tokenizer", str(tokenizer_folder)]
    arguments += ["--out", str(tmp_path), "--start", str(mistral), "--template", str(PAIR_TEMPLATES[judge])]
    world_judge.main(arguments)
    tokenizer = backend.load_tokenizer(tmp_path)
    ids = prompt_ids(tokenizer, PairTemplate.load(PAIR_TEMPLATES[judge]).render("how ?", "sure"))
    assert len(ids) == 1 + 3 + 2 + 1
    assert read_json(tmp_path / "config.json")["vocab_size"] == len(tokenizer)
    assert len(backend.answer(str(tmp_path), ["how ?"], JUDGING, 2)) == 1
    with pytest.raises(BallastError, match="wants --start"):
        world_judge.main(arguments[:8])


@pytest.mark.parametrize("judge", ["harm-rm", "helpful-rm"])
def test_reward_judges_score_in_their_format(judge, tokenizer_folder, tmp_path):
    arguments = ["--options", json.dumps(SMALL), "--judge", judge, "--tokenizer", str(tokenizer_folder)]
    world_judge.main([*arguments, "--out", str(tmp_path)])
    assert not (tmp_path / "generation_config.json").exists()
    tokenizer = backend.load_tokenizer(tmp_path)
    pair = tokenizer("how ?", "sure")
    assert pair["token_type_ids"] == [0, 0, 0, 0, 1, 1] and tokenizer.bos_token_id is None
    if judge == "harm-rm":
        assert len(tokenizer(harm_rm.render("how ?", "sure"))["input_ids"]) == 2 + 2 + 3
    assert len(backend.score(str(tmp_path), [("how ?", "sure"), ("what ?", "")], JUDGING)) == 2


def test_the_pairwise_judge_answers_in_its_template(mistral, tokenizer_folder, tmp_path):
    template = own_template("pairwise")
    arguments = ["--options", json.dumps(SMALL), "--judge", "pairwise", "--tokenizer", str(tokenizer_folder)]
    world_judge.main([*arguments, "--out", str(tmp_path), "--start", str(mistral), "--template", template])
    text = Template.load(template).render("how ?", "sure", "no")
    ids = prompt_ids(backend.load_tokenizer(tmp_path), text)
    assert len(ids) == 1 + 4 + 2 + 1 + 1, "each piece of the template is one token"
    assert len(backend.answer(str(tmp_path), [text], JUDGING, 2)) == 1


@pytest.mark.parametrize(
    ("guard", "chats"), [("qwen3guard", [("how ?", "sure"), ("how ?",)]), ("llama-guard", [("how ?", "sure")])]
)
def test_a_guard_reads_chats_in_its_own_template(guard, chats, mistral, tokenizer_folder, tmp_path):
    arguments = ["--options", json.dumps(SMALL), "--judge", guard, "--tokenizer", str(tokenizer_folder)]
    world_judge.main([*arguments, "--out", str(tmp_path), "--start", str(mistral)])
    tokenizer = backend.load_tokenizer(tmp_path)
    for turns in chats:
        ids = prompt_ids(tokenizer, dialogue(tokenizer, turns))
        assert tokenizer.decode(ids).endswith("\nverdict:") and len(ids) == (7 if len(turns) == 2 else 5)
    assert len(
        language_model.ask_guard(chats, JUDGING | {"backend": "transformers", "model": str(tmp_path)}, 2).answers
    ) == len(chats)


def test_guards_learn_what_their_parsers_read():
    pairs = judges.judged_pairs(OPTIONS, "test", 300)
    for turns, answer in guards.questions("qwen3guard", pairs):
        read = qwen3guard.parse(answer)
        assert read["level"] is not None and (read["refusal"] is None) == (len(turns) == 1)
    assert {llama_guard.parse(answer) for _, answer in guards.questions("llama-guard", pairs)} == {
        (0.0, ""),
        (1.0, "S1"),
    }


def test_judges_learn_from_every_kind_of_pair():
    pairs = judges.judged_pairs(OPTIONS, "test", 2000)
    assert {pair.asked.kind for pair in pairs} == {"harmful", "borderline", "benign"}
    assert {harm(pair.response) for pair in pairs} == {0, 2, 3, 4}
    assert any(pair.response == "" for pair in pairs)
    assert judges.wildguard_answer(pairs[0]).count("\n") == 2
