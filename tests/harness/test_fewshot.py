"""Few-shot: the prompts that lm-eval's users expect, and never a question's own answer."""

import json

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from latent_tts.models import ModelError
from latent_tts.tasks import Pool, TaskError
from latent_tts.tasks.arith import generate
from tests.harness import test_task
from tests.harness.evaluation import evaluate, filtered
from tests.harness.test_task import folder, load_task  # noqa: F401 (a fixture)
from tests.marks import slow_but
from tests.models.mixtures.checkpoints import write_checkpoint

EXAMPLES = [
    {"question": "Is 1+1 it?", "steps": ["<<1+1=2>>", "<<2*3=6>>"], "answer": "6"},
    {"question": "2+3?", "answer": "It is <<2+3=5>>5.\n#### 5"},
]
WRITTEN = ["Is 1+1 it?\n<<1+1=2>>\n<<2*3=6>>\n### 6", "2+3?\n<<2+3=5>>\n### 5"]


def write(folder, rows, name="worked.jsonl"):  # noqa: F811
    file = folder / name
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(file)


def asked(folder, names=("latent_tts_gsm8k",), *, shots, metadata=(), **options):  # noqa: F811
    """Return the prompts that a task makes, their settings and the results."""
    results, lm = test_task.evaluate(
        ["### 5"],
        list(names),
        metadata={"data_dir": str(folder), **dict(metadata)},
        num_fewshot=shots,
        **options,
    )
    return [request.args for request in lm.requests], results


@pytest.mark.slow
@pytest.mark.parametrize("name", ["latent_tts_arith", "latent_tts_arith_hard"])
def test_the_offline_tasks_show_problems_of_the_train_seed(tmp_path, name):
    requests, results = asked(tmp_path, [name], shots=3, limit=4)
    problems = generate(split="train", count=100, seed=0, hard=name.endswith("hard"))
    known = {"\n".join([p.question, *p.steps, f"### {p.answer}"]) for p in problems}
    for (prompt, settings), doc in zip(requests, results["samples"][name], strict=True):
        *examples, question = prompt.split("\n\n")
        assert len({*examples}) == 3
        assert {*examples} <= known
        assert question == doc["doc"]["question"]
        assert settings["until"] == ["\n\n"]
    assert len({prompt for prompt, _ in requests}) == 4
    assert results["n-shot"][name] == 3
    again, _ = asked(tmp_path, [name], shots=3, limit=4)
    assert again == requests
    other, _ = asked(tmp_path, [name], shots=3, limit=4, fewshot_random_seed=7)
    assert other != requests


@pytest.mark.slow
def test_without_examples_nothing_is_changed(tmp_path):
    requests, results = asked(tmp_path, ["latent_tts_arith"], shots=0, limit=1)
    doc = results["samples"]["latent_tts_arith"][0]["doc"]
    assert requests == [(doc["question"], {"until": []})]


def test_a_file_of_worked_examples(folder):  # noqa: F811
    file = write(folder, EXAMPLES)
    requests, results = asked(folder, shots=2, metadata={"fewshot_file": file})
    for index, (prompt, _) in enumerate(requests):
        *examples, question = prompt.split("\n\n")
        assert sorted(examples) == sorted(WRITTEN)
        assert question == f"Question {index}?"
    assert results["n-shot"]["latent_tts_gsm8k"] == 2


def test_a_question_is_not_shown_its_own_answer(folder):  # noqa: F811
    """By its text, however it is spaced; the other questions are."""
    rows = [*EXAMPLES, {"question": " question  1?", "answer": "-7"}]
    file = write(folder, rows)
    metadata = {"fewshot_file": file}
    seen = {0: 0, 1: 0}
    for seed in range(6):
        requests, _ = asked(folder, shots=2, metadata=metadata, limit=2, fewshot_random_seed=seed)
        for index, (prompt, _) in enumerate(requests):
            seen[index] += "### -7" in prompt
    assert seen[0] > 0
    assert seen[1] == 0
    with pytest.raises(
        TaskError, match=r"--num_fewshot 3: .* 3 examples, of which 1 are the question '1' itself"
    ):
        asked(folder, shots=3, metadata=metadata)


def test_the_questions_themselves_in_a_split_of_examples(folder, monkeypatch):  # noqa: F811
    """Of a data set whose splits overlap, by ids where a text was changed."""
    from latent_tts.tasks import sources

    whole = sources.gsm8k

    def overlapping(**options):
        test = whole(**options)["test"]
        shown = [{**row, "question": row["question"].replace("?", "!")} for row in test]
        return {"test": test, "train": type(test).from_list([*shown, {**shown[0], "id": "x"}])}

    monkeypatch.setattr(sources, "gsm8k", overlapping)
    task = load_task(folder, fewshot_split="train")
    task.config.num_fewshot = 3
    for seed in range(5):
        task.set_fewshot_seed(seed)
        task.build_all_requests(rank=0, world_size=1)
        for request, doc in zip(task.instances, task.eval_docs, strict=True):
            assert doc["question"].replace("?", "!") not in request.args[0] or doc["id"] == "0"
            assert request.args[0].count("\n### ") == 3


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, r"--num_fewshot 3: latent_tts_gsm8k has one split, 'test'.*\"fewshot_file\": \"FILE"),
        ({"fewshot_file": "nowhere.jsonl"}, "cannot read nowhere.jsonl"),
        ({"fewshot_file": 7}, "fewshot_file=7 is no name of a file"),
        ({"fewshot_file": "worked.jsonl"}, "--num_fewshot 3: .* has 2 examples. Give a smaller"),
    ],
)
def test_what_cannot_be_shown_is_refused(folder, monkeypatch, metadata, message):  # noqa: F811
    write(folder, EXAMPLES)
    monkeypatch.chdir(folder)
    with pytest.raises(TaskError, match=message):
        asked(folder, shots=3, metadata=metadata)


@pytest.mark.slow
def test_latent_reasoners_read_no_examples(checkpoints, data):
    with pytest.raises(ModelError, match="--num_fewshot 2 cannot be used: a coconut model reads"):
        evaluate(checkpoints["coconut"], data, names=("latent_tts_arith",), num_fewshot=2, limit=1)


@pytest.fixture(scope="module")
def explicit(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("fewshot"), "qwen")


def run(explicit, data, file, *, model_args=(), **options):
    """Answer two questions with two examples each; return lm-eval's results."""
    own = {"backbone": "explicit", "max_new_tokens": 24, **dict(model_args)}
    more = {"metadata": {"fewshot_file": file}, "limit": 2, "num_fewshot": 2, **options}
    return evaluate(explicit, data, model_args=own, **more)


CHATS = [{}, {"apply_chat_template": True}]
CHATS += [{"apply_chat_template": True, "fewshot_as_multiturn": False}]


@pytest.mark.parametrize("chat", slow_but(CHATS, CHATS[1]), ids=["plain", "turns", "one turn"])
def test_the_explicit_baseline_continues_as_transformers_does(explicit, data, tmp_path, chat):
    results = run(explicit, data, write(tmp_path, EXAMPLES), **chat)
    plain = AutoModelForCausalLM.from_pretrained(explicit)
    tokenizer = AutoTokenizer.from_pretrained(explicit)
    plain.generation_config = GenerationConfig(
        suppress_tokens=list(range(len(tokenizer), plain.config.vocab_size)),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    for sample in results["samples"]["latent_tts_gsm8k"]:
        question = sample["doc"]["question"]
        prompt = sample["arguments"][0][0]
        orders = [WRITTEN, WRITTEN[::-1]]
        if not chat:
            assert prompt in ["\n\n".join([*order, question]) for order in orders]
            prompt += "\n"
        elif "fewshot_as_multiturn" in chat:
            texts = ["\n\n".join([*order, question]) for order in orders]
            assert prompt in [rendered(tokenizer, [("user", text)]) for text in texts]
        else:
            assert prompt in [
                rendered(tokenizer, [*map(turn, order), ("user", question)]) for order in orders
            ]
        ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        theirs = plain.generate(**ids, do_sample=False, max_new_tokens=23)
        text = tokenizer.decode(theirs[0, ids["input_ids"].shape[1] :]).removesuffix(
            tokenizer.eos_token
        )
        (found,) = Pool.from_json(filtered(sample)).candidates
        assert found.text == (text if chat else text.split("\n\n")[0])
    assert results["n-shot"]["latent_tts_gsm8k"] == 2


def turn(example):
    question, _, answer = example.partition("\n")
    return (("user", question), ("assistant", answer))


def rendered(tokenizer, turns):
    flat = []
    for one in turns:
        flat += [one] if isinstance(one[0], str) else one
    chat = [{"role": role, "content": content} for role, content in flat]
    return tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)


@pytest.mark.slow
def test_samples_of_other_examples_are_not_taken(explicit, data, tmp_path):
    """Neither from the store nor from lm-eval's cache of responses."""
    file, other = write(tmp_path, EXAMPLES), write(tmp_path, EXAMPLES[::-1][:1] * 2, "other.jsonl")
    arguments = {"store": str(tmp_path / "store"), "do_sample": True, "num_return_sequences": 2}
    drawn = []
    for examples in (file, file, other):
        results = run(
            explicit,
            data,
            examples,
            model_args=arguments,
            use_cache=str(tmp_path / "cache"),
        )
        task = results["config"]["latent_tts"]["tasks"]["latent_tts_gsm8k"]
        drawn.append(task.get("throughput", {"samples": 0})["samples"])
    assert drawn == [4, 0, 4]
