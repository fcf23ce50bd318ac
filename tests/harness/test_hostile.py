"""Random settings, lines and files: what is wrong with them is said, and nothing else raised."""

import json
import math
import random
import signal
from contextlib import contextmanager
from dataclasses import fields

import msgspec
import numpy as np
import pytest
import yaml

from latent_tts.errors import LatentTTSError
from latent_tts.harness.arguments import ModelArguments, split_arguments
from latent_tts.harness.lm import LatentLM
from latent_tts.harness.options import read_options
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
from tests.results.made import log_of
from tests.results.reports.board.random_runs import random_run

VALUES = [
    *(None, True, False, 0, -1, 1, 3, 2**31, 2**63, -(2**63), 10**31, -(10**31)),
    *(0.5, -0.5, 1.0, 1e-320, 1e308, math.nan, math.inf, -math.inf),
    *("", " ", "x", "1", "0.5", "nan", "None", "true", "a,b", "a=b", "../..", "/", "\0", "\ud800"),
    *("٣", "x" * 500, "{}", "[1]", "cpu:99", "cuda:x", "auto:0", "int8", "%s {0}"),
    *([], [1], ["a"], [None], [[1]], {}, {"a": 1}, {"a": {"b": [1]}}, (), (1, 2)),
]
ARGUMENTS = [one.name for kind in (ModelArguments, EngineOptions) for one in fields(kind)]
SETTINGS = [*latent_fields(), "num_return_sequences", "num_beams", "max_new_tokens", "do_sample"]
SETTINGS += ["temperature", "until", "return_pool", "aggregation", "max_gen_toks", "top_p", "top_k"]
NAMES = sorted({*ARGUMENTS, *SETTINGS})
SLOW_METADATA = ("ks", "tolerance", "repeats", "data_dir")
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


def try_each(lm, name, values):
    """One setting of these values, given with the model and with the request."""
    for value in values:
        if name != "pretrained":
            refused_well(try_settings, lm, LIMITS | {name: value}, {})
        if name in SETTINGS:
            refused_well(try_settings, lm, LIMITS, {name: value})


@pytest.mark.filterwarnings("ignore")
def test_one_setting_of_some_values(lm):
    draw = random.Random(0)
    for name in NAMES:
        try_each(lm, name, draw.sample(VALUES, 5))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_one_setting_of_any_value(lm, name):
    try_each(lm, name, VALUES)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(8))
def test_several_settings_of_any_values(checkpoints, lm, seed):
    """Settings that belong together, and models that are loaded by them."""
    draw = random.Random(seed)
    for _ in range(40):
        given = {name: draw.choice(VALUES) for name in draw.sample([*ARGUMENTS, *SETTINGS], 3)}
        asked = {name: draw.choice(VALUES) for name in draw.sample(SETTINGS, draw.randint(0, 2))}
        refused_well(try_settings, lm, LIMITS | given, asked)
    for name in ("dtype", "ignore_weights", "backbone", "base", "lora_alpha", "reward_model"):
        for value in VALUES[seed::8]:
            refused_well(
                lambda given: LatentLM(str(checkpoints["coconut"]), **given), {name: value}
            )


@pytest.mark.parametrize(
    "name",
    ["judge", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_METADATA)],
)
def test_metadata_of_any_value(tmp_path, name):
    for value in VALUES:
        config = {"task": "any", "output_type": "generate_until", "test_split": "test"}
        config |= {"custom_dataset": arith, "doc_to_text": "question", "doc_to_target": "answer"}
        if name == "repeats":
            config[name] = value
        else:
            config["metadata"] = {name: value}
        refused_well(PoolTask, config)
        if name == "data_dir":
            refused_well(lambda options: gsm8k(**options), config["metadata"])


def spoiled(line, draw):
    """A line of JSON with one thing wrong with it, or none."""
    kind = draw.randrange(6)
    if kind == 0:
        return line[: draw.randrange(len(line))]
    if kind == 1:
        at = draw.randrange(len(line))
        return (
            line[:at] + draw.choice('{}[]",:\\0\ud800x9-\ufeff') + line[at + draw.randint(0, 2) :]
        )
    content = json.loads(line)
    if kind == 5:
        return json.dumps(draw.choice([*VALUES, [content], "[" * 9000]))
    spoil(content, draw)
    return json.dumps(content)


def spoil(content, draw):
    """Change one value of an object, somewhere in it."""
    key = draw.choice(list(content) if isinstance(content, dict) else range(len(content)))
    inner = content[key]
    if isinstance(inner, dict | list) and inner and draw.random() < 0.7:
        spoil(inner, draw)
    elif draw.random() < 0.2:
        del content[key]
    else:
        content[key] = draw.choice(VALUES)


def write_spoiled(path, lines, draw):
    lines = list(lines)
    at = draw.randrange(len(lines))
    lines[at] = spoiled(lines[at], draw)
    path.write_text(
        "".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogatepass"
    )
    return path


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


@pytest.mark.parametrize("kind", READERS)
def test_a_spoiled_file_is_read_or_refused(tmp_path, kind):
    read, row = READERS[kind]
    file, draw = tmp_path / "file.jsonl", random.Random(0)
    rows = [row] if kind == "dump" else [row | {"id": str(index)} for index in range(3)]
    refused = 0
    for _ in range(60):
        write_spoiled(file, map(json.dumps, rows), draw)
        refused += refused_well(read, file, about="file.jsonl")
    assert refused > 15


def test_a_spoiled_pool_is_read_or_refused():
    draw, line = random.Random(0), json.dumps({"candidates": POOL["candidates"]})
    for _ in range(100):
        refused_well(Pool.from_json, spoiled(line, draw))


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


def damage(path, draw):
    """Change, cut off, repeat or replace part of a file."""
    content = path.read_bytes()
    at, length = draw.randrange(len(content)), draw.choice([1, 1, 1, 9, 300])
    new = draw.choice(
        [
            lambda: content[:at],
            lambda: content[:at] + bytes([draw.randrange(256)]) + content[at + 1 :],
            lambda: content[:at] + content[at + length :],
            lambda: content[:at] + draw.randbytes(length) + content[at:],
            lambda: content[at:],
            lambda: content + content[at : at + length],
            lambda: draw.randbytes(length),
            lambda: b"",
        ]
    )()
    path.write_bytes(new)


def try_store(root, files, draw):
    """Damage a store's file, and read it: what is believed was written."""
    path = draw.choice(files)
    before = path.read_bytes()
    damage(path, draw)
    believed = {}
    said = refusal(lambda: believed.update(held(Store(root, STORE))))
    path.write_bytes(before)
    assert said is None or 10 < len(said) < 4000
    return believed


@pytest.mark.parametrize("seed", range(3))
def test_of_a_damaged_store_nothing_wrong_is_believed(tmp_path, seed):
    files, draw = write_store(tmp_path / "store"), random.Random(seed)
    sound = held(Store(tmp_path / "store", STORE))
    assert len(sound) == 8 * 3 + 2
    for _ in range(60):
        believed = try_store(tmp_path / "store", files, draw)
        assert all(value in (sound[key], None) for key, value in believed.items())
    assert held(Store(tmp_path / "store", STORE)) == sound


def read_runs(folder):
    runs, problems = collect([folder])
    assert all(str(problem) for problem in problems)
    for run in runs:
        refused_well(lambda run: [one.pool() for one in read_log(run, tuple(run.metrics))], run)


@pytest.mark.parametrize("which", ["log", "results"])
def test_a_spoiled_run_is_read_or_named(tmp_path, which):
    results = random_run(tmp_path / "runs" / "a", questions=3, samples=2, rewards=True)
    file, draw = log_of(results) if which == "log" else results, random.Random(0)
    lines = file.read_text().splitlines() if which == "log" else [file.read_text()]
    for _ in range(25):
        write_spoiled(file, lines, draw)
        read_runs(tmp_path / "runs")


@pytest.mark.slow
@pytest.mark.parametrize("which", ["log", "results"])
@pytest.mark.filterwarnings("ignore")
def test_a_spoiled_run_is_on_the_board_or_named(tmp_path, which):
    random_run(tmp_path / "runs" / "sound", questions=3, samples=2)
    results = random_run(tmp_path / "runs" / "a", questions=3, samples=2, rewards=True)
    file, draw = log_of(results) if which == "log" else results, random.Random(1)
    lines = file.read_text().splitlines() if which == "log" else [file.read_text()]
    for _ in range(15):
        write_spoiled(file, lines, draw)
        board = build_board([tmp_path / "runs"], tmp_path / "board", processes=1)
        assert "sound" in set(board.rows["run"])


@pytest.mark.slow
def test_a_recipe_of_any_values_is_read_or_refused(tmp_path):
    sound = {"objective": "codi", "base": "smollm2", "data": [{"arith": 9}]}
    names = [*sound, "adapter", "validation", "validation_count", "publish", "train_noise_std"]
    names += [name for name, _ in setting_types()]
    file = tmp_path / "recipe.yaml"
    for name in names:
        for value in VALUES:
            try:
                file.write_text(yaml.safe_dump(sound | {name: value}))
            except (yaml.YAMLError, UnicodeError):
                continue  # not every value can be written
            refused_well(read_recipe, file, {})
    draw = random.Random(0)
    text = yaml.safe_dump(sound | {"updates": 3, "publish": {"merge": True}})
    for _ in range(100):
        at = draw.randrange(len(text))
        file.write_text(text[:at] + draw.choice('{}[]":-&*!%\t\n@`') + text[at + 1 :])
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


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(100, 120))
def test_five_hundred_inputs(lm, tmp_path, seed):
    """Of twenty seeds ten thousand: settings, data lines, pools, stores, logs."""
    draw, file = random.Random(seed), tmp_path / "file.jsonl"
    for _ in range(100):
        given = {name: draw.choice(VALUES) for name in draw.sample(NAMES, 2)}
        given.pop("pretrained", None)
        asked = {name: draw.choice(VALUES) for name in draw.sample(SETTINGS, draw.randint(0, 2))}
        with within(60):
            refused_well(try_settings, lm, LIMITS | given, asked)
    for _ in range(150):
        kind = draw.choice(list(READERS))
        read, row = READERS[kind]
        rows = [row] if kind == "dump" else [row | {"id": str(index)} for index in range(3)]
        write_spoiled(file, map(json.dumps, rows), draw)
        with within(60):
            refused_well(read, file, about="file.jsonl")
    line = json.dumps({"candidates": POOL["candidates"]})
    for _ in range(100):
        with within(60):
            refused_well(Pool.from_json, spoiled(line, draw))
    files = write_store(tmp_path / "store")
    sound = held(Store(tmp_path / "store", STORE))
    for _ in range(100):
        with within(60):
            believed = try_store(tmp_path / "store", files, draw)
        assert all(value in (sound[key], None) for key, value in believed.items())
    results = random_run(tmp_path / "runs" / "a", questions=3, samples=2, rewards=True, seed=seed)
    texts = {path: path.read_text() for path in (results, log_of(results))}
    for _ in range(50):
        path = draw.choice(list(texts))
        write_spoiled(path, texts[path].splitlines() if path != results else [texts[path]], draw)
        with within(60):
            read_runs(tmp_path / "runs")
        path.write_text(texts[path])
