"""Random settings, lines and files: what is wrong with them is said, and nothing else raised.

Run on 29 November by `pytest -m "" --hypothesis-profile nightly --hypothesis-seed=16` on this
file, on a machine busy with other work, 100 s of processor time: 2,000 settings, 2,000 data lines,
2,000 pools, 2,000 stores and 2,000 each of logs and results files gave no fault, nor did 2,000
recipes and all 1,215 recipes with one letter changed.
"""

import json
import signal
from contextlib import contextmanager
from dataclasses import fields

import msgspec
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from latent_tts.errors import LatentTTSError
from latent_tts.harness.arguments import ModelArguments, split_arguments
from latent_tts.harness.lm import LatentLM
from latent_tts.harness.options import read_options
from latent_tts.harness.stopping import STOP_NAMES
from latent_tts.harness.task import PoolTask
from latent_tts.harness.training.recipe import read_recipe, setting_types
from latent_tts.models import EngineOptions
from latent_tts.models.generation_config import latent_fields
from latent_tts.results import collect, read_log
from latent_tts.results.foreign import read_foreign
from latent_tts.results.reports.board import build_board
from latent_tts.results.store import Beam, Sampled, Scored, Searched, Store
from latent_tts.tasks import Pool, read_questions, read_solved
from latent_tts.tasks.sources import arith, gsm8k
from tests.harness.evaluation import make_request
from tests.hostile import ODD, VALUES, damaged, spoiled, spoiled_file
from tests.results.made import log_of
from tests.results.reports.board.random_runs import random_run

ARGUMENTS = [one.name for kind in (ModelArguments, EngineOptions) for one in fields(kind)]
SETTINGS = [*latent_fields(), "num_return_sequences", "num_beams", "max_new_tokens", "do_sample"]
SETTINGS += ["temperature", "until", "return_pool", "aggregation", "max_gen_toks", "top_p", "top_k"]
SETTINGS += STOP_NAMES
NAMES = sorted({*ARGUMENTS, *SETTINGS} - {"pretrained"})
METADATA = ("judge", "ks", "tolerance", "repeats", "data_dir")
LOADED = ("dtype", "ignore_weights", "backbone", "base", "lora_alpha", "reward_model")
LIMITS = {"max_new_tokens": 9, "num_return_sequences": 2}


@pytest.fixture(scope="module")
def lm(checkpoints):
    return LatentLM(str(checkpoints["colar"]))


def try_settings(lm, model_args, gen_kwargs):
    """Resolve settings, and sample by them where that is short."""
    _, given = split_arguments(model_args)
    options = read_options(lm.model, given, gen_kwargs)
    if options.settings.num_return_sequences <= 4 and options.settings.max_new_tokens <= 64:
        lm.settings, before = given, lm.settings
        try:
            lm.generate_until([make_request("Two?", gen_kwargs)], disable_tqdm=True)
        finally:
            lm.settings = before


def refusal(call, *arguments):
    """What is said against a call; None where nothing is."""
    try:
        call(*arguments)
    except LatentTTSError as error:
        return str(error)
    return None


def refused_well(call, *arguments, about=""):
    """Whether a call is refused; the message has some length, and says what it is about."""
    said = refusal(call, *arguments)
    assert said is None or (10 < len(said) < 4000 and about in said)
    return said is not None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@given(
    given_=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3),
    asked=st.dictionaries(st.sampled_from(SETTINGS), VALUES, max_size=2),
)
def test_settings_of_any_values(lm, given_, asked):
    with within(60):
        refused_well(try_settings, lm, LIMITS | given_, asked)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@given(name=st.sampled_from(LOADED), value=st.sampled_from(ODD))
@settings(max_examples=40)
def test_models_that_are_loaded_by_any_values(checkpoints, name, value):
    refused_well(lambda own: LatentLM(str(checkpoints["coconut"]), **own), {name: value})


@given(name=st.sampled_from(METADATA), value=VALUES)
def test_metadata_of_any_value(name, value):
    config = {"task": "any", "output_type": "generate_until", "test_split": "test"}
    config |= {"custom_dataset": arith, "doc_to_text": "question", "doc_to_target": "answer"}
    if name == "repeats":
        config[name] = value
    else:
        config["metadata"] = {name: value}
    with within(60):
        refused_well(PoolTask, config)
        if name == "data_dir":
            refused_well(lambda options: gsm8k(**options), config["metadata"])


CANDIDATE = {"answer": "5", "text": "so 5", "reward": 0.5, "step_rewards": [0.1, 0.2]}
CANDIDATE |= {"thoughts": 3, "answer_tokens": 2, "truncated": False}
POOL = {"id": "7", "question": "2 + 3?", "gold": "5", "candidates": [CANDIDATE, CANDIDATE]}
SOLVED = {"question": "2 + 3?", "steps": ["<<2+3=5>>"], "answer": "5"}
QUESTION = {"id": "7", "question": "2 + 3?", "answer": "5"}
DUMP = {
    "meta": {"seed": 1, "num_return_sequences": 2},
    "examples": [{"idx": 0, "question": "2 + 3?", "answer": "5", "outputs": ["5", "6"]}],
}


READERS = {
    "questions": (read_questions, QUESTION),
    "texts": (lambda path: read_questions(path, judge="text"), QUESTION),
    "solved": (read_solved, SOLVED),
    "pools": (read_foreign, POOL),
    "dump": (read_foreign, DUMP),
}


def rows_of(kind):
    """Lines of a sound file."""
    row = READERS[kind][1]
    rows = [row] if kind == "dump" else [row | {"id": str(index)} for index in range(3)]
    return list(map(json.dumps, rows))


@given(drawn=st.sampled_from(list(READERS)).flatmap(
    lambda kind: st.tuples(st.just(kind), spoiled_file(rows_of(kind)))))  # fmt: skip
def test_a_spoiled_file_is_read_or_refused(tmp_path, drawn):
    kind, content = drawn
    file = tmp_path / "file.jsonl"
    file.write_bytes(content)
    with within(60):
        refused_well(READERS[kind][0], file, about="file.jsonl")


@pytest.mark.parametrize("kind", READERS)
def test_a_file_that_was_cut_off_is_refused(tmp_path, kind):
    file = tmp_path / "file.jsonl"
    file.write_text("\n".join(rows_of(kind))[:-9])
    assert refused_well(READERS[kind][0], file, about="file.jsonl")


@given(line=spoiled(json.dumps({"candidates": POOL["candidates"]})))
def test_a_spoiled_pool_is_read_or_refused(line):
    with within(60):
        refused_well(Pool.from_json, line)


STORE = {"checkpoint": "c", "settings": {"seed": 1}}


def write_store(root):
    """A store of two writers; returns its files."""
    for writer in range(2):
        store = Store(root, STORE)
        for question in ("q", "p"):
            rows = [Sampled(question, 2 * n + writer, 3, (n, 5), False) for n in range(2)]
            store.append(rows, [np.full((3, 2), n, np.float16) for n in range(2)])
            store.append_scores([Scored(question, row.sample, "rm", (0.5, None)) for row in rows])
        store.append_scores([Searched("q", "2 of 2", (Beam(1, (5,), True, (0.25,)),))])
        store.close()
    return sorted(path for path in root.rglob("*") if path.is_file())


def held(store):
    """All that a store gives: what is believed."""
    found = {}
    for question in ("q", "p"):
        for sample, row in store.samples(question).items():
            found["sample", question, sample] = msgspec.structs.replace(row, file=None)
            found["thoughts", question, sample] = store.thoughts(row).tolist()
        for sample, own in store.scores(question, "rm").items():
            found["score", question, sample] = own
        found["beams", question] = store.searched(question, "2 of 2")
    return found


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A store's folder, its files, and all that it gives."""
    root = tmp_path_factory.mktemp("hostile") / "store"
    files = write_store(root)
    sound = held(Store(root, STORE))
    assert len(sound) == 8 * 3 + 2
    return root, files, sound


@given(data=st.data())
def test_of_a_damaged_store_nothing_wrong_is_believed(stored, data):
    root, files, sound = stored
    path = data.draw(st.sampled_from(files))
    before = path.read_bytes()
    path.write_bytes(data.draw(damaged(before)))
    believed = {}
    try:
        with within(60):
            refused_well(lambda: believed.update(held(Store(root, STORE))))
    finally:
        path.write_bytes(before)
    assert all(value in (sound[key], None) for key, value in believed.items())


def read_runs(folder):
    runs, problems = collect([folder])
    assert all(str(problem) for problem in problems)
    for run in runs:
        refused_well(lambda run: [one.pool() for one in read_log(run, tuple(run.metrics))], run)


@pytest.fixture(scope="module", params=["log", "results"])
def runs(request, tmp_path_factory):
    """A sound run and one of which a file is to be spoiled: folder, file and its lines."""
    folder = tmp_path_factory.mktemp("runs") / "runs"
    random_run(folder / "sound", questions=3, samples=2)
    results = random_run(folder / "a", questions=3, samples=2, rewards=True)
    file = log_of(results) if request.param == "log" else results
    text = file.read_text()
    return folder, file, text.splitlines() if request.param == "log" else [text]


@given(data=st.data())
def test_a_spoiled_run_is_read_or_named(runs, data):
    folder, file, lines = runs
    file.write_bytes(data.draw(spoiled_file(lines)))
    with within(60):
        read_runs(folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@given(data=st.data())
@settings(max_examples=15)
def test_a_spoiled_run_is_on_the_board_or_named(runs, tmp_path, data):
    folder, file, lines = runs
    file.write_bytes(data.draw(spoiled_file(lines)))
    board = build_board([folder], tmp_path / "board", processes=1)
    assert "sound" in set(board.rows["run"])


RECIPE = {"objective": "codi", "base": "smollm2", "data": [{"arith": 9}]}
RECIPE_NAMES = [*RECIPE, "adapter", "validation", "validation_count", "publish", "train_noise_std"]
RECIPE_NAMES += [name for name, _ in setting_types()]
RECIPE_TEXT = yaml.safe_dump(RECIPE | {"updates": 3, "publish": {"merge": True}})


@given(name=st.sampled_from(RECIPE_NAMES), value=VALUES)
def test_a_recipe_of_any_values_is_read_or_refused(tmp_path, name, value):
    file = tmp_path / "recipe.yaml"
    try:
        file.write_text(yaml.safe_dump(RECIPE | {name: value}))
    except (yaml.YAMLError, UnicodeError):
        return  # not every value can be written
    refused_well(read_recipe, file, {})


@given(at=st.integers(0, len(RECIPE_TEXT) - 1), letter=st.sampled_from('{}[]":-&*!%\t\n@`'))
def test_a_spoiled_recipe_is_read_or_refused(tmp_path, at, letter):
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE_TEXT[:at] + letter + RECIPE_TEXT[at + 1 :])
    refused_well(read_recipe, file, {})


@contextmanager
def within(seconds):
    """Let what takes longer fail: nothing may hang."""

    def late(number, frame):
        raise TimeoutError(f"no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
