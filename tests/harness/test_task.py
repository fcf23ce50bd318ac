"""Pools through the real lm-eval: metrics, standard errors, groups, repeats, other models."""

import json
import logging
import math
import statistics
from pathlib import Path

import pytest
import yaml
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from lm_eval.utils import make_table

from latent_tts import tasks
from latent_tts.harness.lm_eval_seam import KEEPS_REPEATS
from latent_tts.harness.task import PoolTask
from latent_tts.tasks import Candidate, Pool, TaskError, pool_metrics
from tests.harness.evaluation import filtered
from tests.tasks.strategies.test_table import install

BENCHMARKS = Path(tasks.__file__).parent / "benchmarks"
GOLDS = ["5", "-7", "0.5", "1000"]
NAMES = {
    *("pass@1", "pass@2", "pass@4", "coverage@4", "voting@1", "voting@2", "voting@4"),
    *("unparsed", "truncated", "thoughts", "answer_tokens"),
}


def make_pool(*answers):
    return Pool(
        tuple(
            Candidate(
                text=f"### {answer}",
                answer=answer,
                thoughts=6,
                answer_tokens=i,
                truncated=answer is None,
            )
            for i, answer in enumerate(answers)
        )
    )


# The answers to the four local questions, the right ones in between.
ANSWERS = [
    ["5", "5.0", "3", None],
    ["1", "1", "-7", "-7"],
    ["2", "3", "4", "5"],
    ["$1,000", "1e3", "1000", "1000."],
]
POOLS = [make_pool(*answers) for answers in ANSWERS]


class FakeLM(LM):
    """Returns prepared responses, in order and round again, and keeps the requests."""

    def __init__(self, responses):
        super().__init__()
        self.responses = responses
        self.requests = []

    def generate_until(self, requests, disable_tqdm=False):
        self.requests += requests
        return [self.responses[i % len(self.responses)] for i in range(len(requests))]

    def loglikelihood(self, requests, disable_tqdm=False):
        raise NotImplementedError

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        raise NotImplementedError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with four questions of every published benchmark."""
    monkeypatch.delenv("LATENT_TTS_DATA", raising=False)
    rows = [{"id": i, "question": f"Question {i}?", "answer": g} for i, g in enumerate(GOLDS)]
    for name in ("gsm8k_test", "gsm_hard", "multiarith"):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def evaluate(responses, names, *, metadata=None, **options):
    """Runs lm-eval as its command line does, with the given responses; returns results and LM."""
    lm = FakeLM(responses)
    manager = TaskManager(
        include_path=str(BENCHMARKS), include_defaults=False, metadata=metadata or {}
    )
    results = simple_evaluate(model=lm, tasks=names, task_manager=manager, **options)
    return results, lm


def pools_json(pools=POOLS):
    return [pool.to_json() for pool in pools]


def test_every_metric_is_a_mean_with_its_standard_error(folder, caplog):
    with caplog.at_level(logging.WARNING):
        results, _ = evaluate(
            pools_json(), ["latent_tts_gsm8k"], metadata={"data_dir": str(folder)}
        )
    row = results["results"]["latent_tts_gsm8k"]
    each = [pool_metrics(pool, gold) for pool, gold in zip(POOLS, GOLDS, strict=True)]
    for name in NAMES:
        values = [metrics[name] for metrics in each]
        assert row[f"{name},none"] == pytest.approx(statistics.mean(values))
        error = statistics.stdev(values) / math.sqrt(len(values))
        assert row[f"{name}_stderr,none"] == pytest.approx(error)
    assert row["pass@1,none"] == pytest.approx((0.5 + 0.5 + 0 + 1) / 4)
    assert row["coverage@4,none"] == 0.75
    assert row["voting@4,none"] == pytest.approx((1 + 0 + 0 + 1) / 4)
    assert row["unparsed,none"] == pytest.approx(1 / 16)
    assert {key.partition(",")[0] for key in row if "," in key and "_stderr" not in key} == NAMES
    assert "aggregation" not in caplog.text
    assert "Metrics were not scored" not in caplog.text


def test_directions_and_table(folder):
    results, _ = evaluate(pools_json(), ["latent_tts_gsm8k"], metadata={"data_dir": str(folder)})
    directions = results["higher_is_better"]["latent_tts_gsm8k"]
    assert directions == {
        name: name not in ("unparsed", "truncated")
        for name in NAMES - {"thoughts", "answer_tokens"}
    }
    table = make_table(results)
    assert "voting@4" in table
    assert results["versions"]["latent_tts_gsm8k"] == 1.0
    assert results["n-shot"]["latent_tts_gsm8k"] == 0


def test_requests_hold_the_bare_question_and_nothing_that_other_models_refuse(folder):
    results, lm = evaluate(pools_json(), ["latent_tts_gsm8k"], metadata={"data_dir": str(folder)})
    assert [request.args[0] for request in lm.requests] == [f"Question {i}?" for i in range(4)]
    assert lm.requests[0].args[1] == {"until": []}
    assert lm.requests[1].doc == {"id": "1", "question": "Question 1?", "answer": "-7"}
    sample = results["samples"]["latent_tts_gsm8k"][0]
    assert Pool.from_json(sample["resps"][0][0]) == POOLS[0]
    assert [filtered(sample)] == sample["resps"][0]
    assert str(sample["target"]) == "5"
    assert sample["voting@4"] == 1.0


def test_shipped_tasks_run_with_a_limit():
    results, _ = evaluate(pools_json(POOLS[:1]), ["latent_tts_arith"], limit=3)
    assert results["n-samples"]["latent_tts_arith"]["effective"] == 3
    assert results["n-samples"]["latent_tts_arith"]["original"] >= 100


@pytest.mark.slow
def test_groups_hold_their_tasks(folder):
    results, _ = evaluate(
        pools_json(),
        ["latent_tts", "latent_tts_offline"],
        metadata={"data_dir": str(folder)},
        limit=2,
    )
    members = {
        "latent_tts": ["latent_tts_gsm8k", "latent_tts_gsm_hard", "latent_tts_multiarith"],
        "latent_tts_offline": ["latent_tts_arith", "latent_tts_arith_hard"],
    }
    assert results["group_subtasks"] == members
    for name in [*members["latent_tts"], *members["latent_tts_offline"]]:
        assert results["n-samples"][name]["effective"] == 2
        assert "pass@4,none" in results["results"][name]
    assert "latent_tts_arith_hard" in make_table(results)


def test_predict_only_keeps_samples_and_computes_nothing(folder):
    results, _ = evaluate(
        pools_json(),
        ["latent_tts_gsm8k"],
        metadata={"data_dir": str(folder)},
        predict_only=True,
        log_samples=False,
    )
    row = results["results"]["latent_tts_gsm8k"]
    assert {key for key in row if "," in key} == {"bypass,none", "bypass_stderr,none"}
    assert len(results["samples"]["latent_tts_gsm8k"]) == 4


def test_ks_and_tolerance_come_from_the_metadata(folder):
    pools = [make_pool("5.001", "4", "4", "4")]
    metadata = {"data_dir": str(folder), "ks": [1, 3], "tolerance": 0.001}
    results, _ = evaluate(pools_json(pools), ["latent_tts_gsm8k"], metadata=metadata, limit=1)
    row = results["results"]["latent_tts_gsm8k"]
    names = {key.partition(",")[0] for key in row if "@" in key and "_stderr" not in key}
    assert names == {
        *("pass@1", "pass@3", "pass@4", "coverage@4", "voting@1", "voting@3", "voting@4")
    }
    assert row["pass@1,none"] == 0.25


def test_the_judge_comes_from_the_metadata(folder):
    pools = [make_pool("5", "5.0", "5.")]
    for judge, share in (("number", 1.0), ("text", 2 / 3)):
        metadata = {"data_dir": str(folder), "judge": judge}
        results, _ = evaluate(pools_json(pools), ["latent_tts_gsm8k"], metadata=metadata, limit=1)
        assert results["results"]["latent_tts_gsm8k"]["pass@1,none"] == pytest.approx(share)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"ks": [0, 4]}, r"ks is \[0, 4\]; it must be a list of whole numbers"),
        ({"ks": []}, r"ks is \[\]"),
        ({"ks": "1,4"}, r"ks is '1,4'"),
        ({"ks": [True]}, r"ks is \[True\]"),
        ({"tolerance": -1}, r"tolerance is -1"),
        ({"judge": "maths"}, r"judge is 'maths'; Did you mean math\?"),
    ],
)
def test_wrong_metadata_is_refused_before_anything_runs(metadata, message):
    with pytest.raises(TaskError, match=message):
        evaluate(pools_json(), ["latent_tts_arith"], metadata=metadata)


def test_repeats_are_joined_into_one_pool(folder):
    responses = [pool.to_json() for answers in ANSWERS for pool in map(make_pool, answers)]
    spec = variant(folder, repeats=4)
    results, lm = evaluate(responses, [spec], metadata={"data_dir": str(folder)})
    assert len(lm.requests) == 16
    row = results["results"]["variant"]
    assert row["coverage@4,none"] == 0.75
    assert row["voting@4,none"] == 0.5


def test_copies_that_pad_the_last_question_are_not_its_candidates(folder):
    task = load_task(folder, repeats=2)
    task.build_all_requests(limit=2, rank=0, world_size=1)
    for request, answers in zip(task.instances, (["5", "4"], ["-7", "1", "1", "1"]), strict=True):
        request.resps = [make_pool(answer).to_json() for answer in answers]
    task.apply_filters()
    request = task.instances[1]
    left = request.filtered_resps["none"]
    metrics = task.process_results(request.doc, left if KEEPS_REPEATS else [left])
    assert metrics["coverage@2"] == 1.0
    assert metrics["voting@2"] == 1.0


def variant(folder, **changes):
    """Writes a task of a user's own that includes one of ours; returns its path."""
    file = folder / "variant.yaml"
    include = str(BENCHMARKS / "latent_tts_gsm8k.yaml")
    file.write_text(yaml.safe_dump({"include": include, "task": "variant", **changes}))
    return str(file)


def load_task(folder, **changes):
    manager = TaskManager(include_defaults=False, metadata={"data_dir": str(folder)})
    task = manager.load([variant(folder, **changes)])["tasks"]["variant"]
    task.set_fewshot_seed(0)
    assert isinstance(task, PoolTask)
    return task


@pytest.mark.parametrize("repeats", [0, -1, 1.5, True])
def test_wrong_repeats_are_refused(folder, repeats):
    with pytest.raises(TaskError, match=r"repeats is .*; it must be a whole number"):
        load_task(folder, repeats=repeats)


@pytest.mark.parametrize("given", [None, {"return_pool": False}])  # the latter, once needed
def test_text_of_another_model_is_a_pool_of_one(folder, caplog, given):
    responses = ["2 + 3 = 5", "It is 7.", "I do not know", "#### 1,000"]
    with caplog.at_level(logging.WARNING):
        results, lm = evaluate(
            responses,
            ["latent_tts_gsm8k"],
            metadata={"data_dir": str(folder)},
            gen_kwargs=given,
        )
    assert lm.requests[0].args[1] == {"until": []}
    row = results["results"]["latent_tts_gsm8k"]
    values = {key.partition(",")[0]: row[key] for key in row if key.endswith(",none")}
    assert {k: v for k, v in values.items() if "_stderr" not in k} == {
        "pass@1": 0.5,
        "coverage@1": 0.5,
        "voting@1": 0.5,
        "unparsed": 0.25,
    }
    assert "aggregation function" not in caplog.text


def test_a_damaged_pool_is_an_error_and_not_a_wrong_answer(folder):
    with pytest.raises(TaskError, match="a pool must be JSON"):
        evaluate(
            [POOLS[0].to_json()[:-4]], ["latent_tts_gsm8k"], metadata={"data_dir": str(folder)}
        )


@pytest.mark.parametrize("repeats", [1, 3])
def test_an_ordinary_model_of_lm_eval_runs_on_the_same_task(folder, repeats):
    from lm_eval.models.huggingface import HFLM
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    words = ["<eos>", "Question", *map(str, range(10)), "?", "<unk>"]
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>", unk_token="<unk>"
    )
    config = GPT2Config(
        vocab_size=len(words), n_positions=64, n_embd=8, n_layer=1, n_head=1, eos_token_id=0,
        bos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    results = simple_evaluate(
        model=HFLM(pretrained=GPT2LMHeadModel(config), tokenizer=fast, max_length=64, device="cpu"),
        tasks=[variant(folder, repeats=repeats)],
        task_manager=TaskManager(include_defaults=False, metadata={"data_dir": str(folder)}),
        gen_kwargs={"max_gen_toks": 4},
    )
    row = results["results"]["variant"]
    assert 0.0 <= row["pass@1,none"] <= row[f"coverage@{repeats},none"] <= 1.0
    assert "thoughts,none" not in row
    assert [len(sample["resps"][0]) for sample in results["samples"]["variant"]] == [repeats] * 4


def test_kept_requests_are_built_anew_with_the_settings_and_the_data_of_today(
    folder, tmp_path_factory, monkeypatch
):
    """lm-eval finds them by the task's name, whatever they were built with."""
    monkeypatch.setattr("lm_eval.caching.cache.PATH", str(tmp_path_factory.mktemp("kept")))
    other = tmp_path_factory.mktemp("other")
    (other / "gsm8k_test.jsonl").write_text('{"id": 9, "question": "New?", "answer": "5"}')
    asked = []
    for place, limit in ((folder, 3), (other, 4)):
        _, lm = evaluate(
            pools_json(),
            ["latent_tts_gsm8k"],
            metadata={"data_dir": str(place)},
            gen_kwargs={"max_gen_toks": limit},
            cache_requests=True,
        )
        asked.append([request.args for request in lm.requests])
    assert asked[0][0] == ("Question 0?", {"until": [], "max_gen_toks": 3})
    assert asked[1] == [("New?", {"until": [], "max_gen_toks": 4})]


def test_a_system_instruction_is_not_glued_to_the_question(folder):
    with pytest.raises(TaskError, match=r"--system_instruction 'You are nice' would be glued"):
        evaluate(
            pools_json(),
            ["latent_tts_gsm8k"],
            metadata={"data_dir": str(folder)},
            system_instruction="You are nice",
        )


@pytest.mark.parametrize("changes", [{}, {"num_fewshot": None}, {"validation_split": "test"}])
def test_examples_that_would_be_the_questions_are_refused(folder, changes):
    data = {"data_dir": str(folder)}
    with pytest.raises(TaskError, match=r"--num_fewshot 2: variant has one split, 'test'"):
        evaluate(pools_json(), [variant(folder, **changes)], metadata=data, num_fewshot=2)
    results, _ = evaluate(pools_json(), [variant(folder, **changes)], metadata=data, num_fewshot=0)
    assert results["n-shot"]["variant"] == 0


def test_examples_of_another_split_are_shown():
    import datasets

    def load(**metadata):
        def row(name, answer):
            row = {"id": name, "question": f"{name}?", "answer": answer}
            return datasets.Dataset.from_list([row])

        # In words, because lm-eval's pre-release refuses an example's answer that is a number.
        return {"test": row("asked", "5"), "train": row("shown", "five")}

    spec = {
        "class": PoolTask,
        "task": "variant",
        "custom_dataset": load,
        "output_type": "generate_until",
        "test_split": "test",
        "fewshot_split": "train",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "metric_list": [],
    }
    results, lm = evaluate(pools_json(POOLS[:1]), [spec], num_fewshot=1)
    assert lm.requests[0].args[0] == "shown? five\n\nasked?"
    assert results["n-shot"]["variant"] == 1


@pytest.mark.slow
def test_a_broken_strategy_of_another_package_is_told_of_before_sampling(tmp_path, run_python):
    path = install(tmp_path, "second = outsider:Missing")
    code = "from latent_tts.harness.task import PoolTask; PoolTask({})"
    failed = run_python("-c", code, check=False, PYTHONPATH=path)
    assert "TaskError: The strategy 'second' of an installed package cannot be" in failed.stderr
