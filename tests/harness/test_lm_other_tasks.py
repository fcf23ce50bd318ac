"""Tasks in lm-eval's own format, from a local data file: the response is the aggregated text."""

import json

import pytest
import yaml

from latent_tts.harness.lm import LatentLM
from latent_tts.models import ModelError
from latent_tts.tasks import Pool, TaskError, find_strategy, join_pools
from tests.harness.evaluation import evaluate, filtered, make_request, make_rows
from tests.marks import slow_but

SETTINGS = {"latent_do_sample_by": "noise", "noise_std": 1.0, "max_new_tokens": 20}


@pytest.fixture
def write_task(tmp_path):
    """Write five questions and a task about them; returns the task's folder."""

    def write(**changes):
        rows = make_rows(5)
        data = tmp_path / "data.jsonl"
        data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        task = {
            "task": "own",
            "dataset_path": "json",
            "dataset_kwargs": {
                "data_files": {"test": str(data)},
                "cache_dir": str(tmp_path / "cache"),
            },
            "output_type": "generate_until",
            "test_split": "test",
            "doc_to_text": "{{question}}",
            "doc_to_target": "{{answer}}",
            "generation_kwargs": {"until": [], "do_sample": False, "temperature": 0.0},
            "metric_list": [
                {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
            ],
            **changes,
        }
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(task))
        return tmp_path

    return write


@pytest.fixture
def run_task(write_task, talkative):
    """Run a task on CODI; returns results and, for every question, its logged sample."""

    def run(*, model_args=None, gen_kwargs=None, **changes):
        folder = write_task(**changes)
        results = evaluate(
            talkative["codi"],
            folder,
            names=("own",),
            include=folder,
            model_args=SETTINGS | {"num_return_sequences": 5} | (model_args or {}),
            gen_kwargs=gen_kwargs,
            batch_size=3,
        )
        samples = results["samples"]["own"]
        return results, sorted(samples, key=lambda sample: (sample["filter"], sample["doc_id"]))

    return run


@pytest.fixture(scope="module")
def drawn(talkative):
    """Pools of fifteen candidates for the five questions."""
    lm = LatentLM(str(talkative["codi"]), num_return_sequences=15, seed=1234, **SETTINGS)
    requests = [make_request(row["question"], {"return_pool": True}) for row in make_rows(5)]
    return [Pool.from_json(text) for text in lm.generate_until(requests, disable_tqdm=True)]


def first(pool, count):
    return Pool(pool.candidates[:count])


@pytest.mark.parametrize("how", slow_but([None, "majority", "first"], "first"))
def test_the_response_is_the_aggregated_text(run_task, drawn, how):
    model_args = {} if how is None else {"aggregation": how}
    results, samples = run_task(model_args=model_args)
    chosen = [find_strategy(how or "majority").pick(first(pool, 5)) for pool in drawn]
    assert [sample["resps"] for sample in samples] == [[[one.text]] for one in chosen]
    assert results["results"]["own"]["exact_match,none"] == 0.0
    assert results["config"]["latent_tts"]["aggregation"] == find_strategy(how or "majority").name


def test_majority_and_first_differ(drawn):
    assert any(
        find_strategy("majority").pick(pool) != find_strategy("first").pick(pool) for pool in drawn
    )


@pytest.mark.slow
def test_gen_kwargs_choose_the_aggregation_over_model_args(run_task, drawn):
    _, samples = run_task(
        model_args={"aggregation": "majority"}, gen_kwargs={"aggregation": "first"}
    )
    assert [sample["resps"][0][0] for sample in samples] == [
        pool.candidates[0].text for pool in drawn
    ]


def test_where_no_answer_can_be_read_the_text_is_the_first_candidates(checkpoints):
    lm = LatentLM(str(checkpoints["coconut"]), num_return_sequences=3, max_new_tokens=9)
    request = make_request("How many pens?", {"return_pool": True})
    pool = Pool.from_json(lm.generate_until([request], disable_tqdm=True)[0])
    assert {candidate.answer for candidate in pool.candidates} == {None}
    request.arguments = (request.args[0], {})
    assert lm.generate_until([request], disable_tqdm=True) == [pool.candidates[0].text]


@pytest.mark.slow
def test_the_metric_is_that_of_the_task(run_task, drawn, talkative, tmp_path):
    text = find_strategy("majority").pick(first(drawn[2], 5)).text
    results, _ = run_task(doc_to_target=f"{{{{ {text!r} }}}}")
    assert results["results"]["own"]["exact_match,none"] == pytest.approx(0.2)


def test_repeats_become_responses_of_their_own(run_task, drawn):
    _, samples = run_task(repeats=3)
    for sample, pool in zip(samples, drawn, strict=True):
        parts = [Pool(pool.candidates[start : start + 5]) for start in (0, 5, 10)]
        assert sample["resps"] == [[find_strategy("majority").pick(part).text for part in parts]]
        assert filtered(sample) == sample["resps"][0][0]


@pytest.mark.slow
def test_a_filter_of_this_project_aggregates_the_repeats(run_task, drawn):
    filters = [
        {
            "name": name,
            "filter": [{"function": f"latent_tts_{name}"}, {"function": "take_first"}],
        }
        for name in ("first", "majority")
    ]
    results, samples = run_task(
        repeats=3,
        filter_list=filters,
        model_args={"num_return_sequences": 1},
    )
    assert {"exact_match,first", "exact_match,majority"} <= results["results"]["own"].keys()
    for sample, pool in zip(samples, drawn * 2, strict=True):
        three = first(pool, 3)
        assert sample["resps"] == [[candidate.text for candidate in three.candidates]]
        # The filter reads plain texts as answers: the last number of each.
        assert filtered(sample) == find_strategy(sample["filter"]).pick(three).text


@pytest.mark.slow
def test_repeats_of_pools_are_joined_by_the_filter(run_task, drawn):
    filters = [
        {
            "name": "vote",
            "filter": [{"function": "latent_tts_majority"}, {"function": "take_first"}],
        }
    ]
    _, samples = run_task(repeats=3, filter_list=filters, gen_kwargs={"return_pool": True})
    for sample, pool in zip(samples, drawn, strict=True):
        joined = join_pools([Pool.from_json(text) for text in sample["resps"][0]])
        assert joined.candidates == pool.candidates
        assert filtered(sample) == find_strategy("majority").pick(pool).text


@pytest.mark.slow
def test_until_cuts_the_text_before_the_answer_is_read(run_task, drawn):
    stops = ["x2", "x1"]
    _, samples = run_task(
        generation_kwargs={"until": stops, "return_pool": True}, model_args={"aggregation": "first"}
    )
    cuts = 0
    for sample, pool in zip(samples, drawn, strict=True):
        got = Pool.from_json(sample["resps"][0][0])
        for candidate, whole in zip(got.candidates, pool.candidates[:5], strict=True):
            assert candidate.text == whole.text.split("x2")[0].split("x1")[0]
            if candidate.text == whole.text:
                assert candidate == whole
            else:
                cuts += 1
                assert not candidate.truncated
                assert candidate.answer_tokens == whole.answer_tokens
    assert cuts > 5


@pytest.mark.slow
def test_until_may_be_one_text(run_task, drawn):
    _, samples = run_task(generation_kwargs={"until": "x"}, model_args={"aggregation": "first"})
    assert [sample["resps"][0][0] for sample in samples] == [
        pool.candidates[0].text.split("x")[0] for pool in drawn
    ]


def test_a_limit_of_answer_tokens(run_task):
    _, samples = run_task(gen_kwargs={"max_gen_toks": 3, "return_pool": True})
    tokens = [
        candidate.answer_tokens
        for sample in samples
        for candidate in Pool.from_json(sample["resps"][0][0]).candidates
    ]
    assert max(tokens) == 3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"gen_kwargs": {"temprature": 1}}, ModelError, "Unknown setting 'temprature'. Did you"),
        ({"gen_kwargs": {"num_beams": 4}}, ModelError, "num_beams=4"),
        (
            {"gen_kwargs": {"do_sample": True, "temperature": 1.0, "min_p": 0.9}},
            ModelError,
            r"min_p=0.9 with do_sample=true: answers are sampled with temperature, top_p and",
        ),
        ({"gen_kwargs": {"aggregation": "majorty"}}, TaskError, "Did you mean majority"),
        ({"gen_kwargs": {"until": 5}}, ModelError, "until=5; allowed is a text or a list"),
        ({"gen_kwargs": {"max_gen_toks": 0}}, ModelError, "max_gen_toks=0; allowed is a whole"),
        (
            {"output_type": "loglikelihood", "doc_to_target": "{{question}}"},
            ModelError,
            r"generate_until tasks only; this task asks for log-likelihoods.* output_type",
        ),
        (
            {"output_type": "multiple_choice", "doc_to_choice": ["5", "6"], "doc_to_target": 0},
            ModelError,
            "generate_until tasks only",
        ),
        (
            {"output_type": "loglikelihood_rolling", "doc_to_target": "{{question}}"},
            ModelError,
            "generate_until tasks only",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(run_task, options, error, message):
    if "output_type" in options:
        metric = {"loglikelihood_rolling": "word_perplexity"}.get(options["output_type"], "acc")
        options = {"metric_list": [{"metric": metric}], **options}
    with pytest.raises(error, match=message):
        run_task(**options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"system_instruction": "Be nice"}, "system_instruction 'Be nice' cannot be used"),
        ({"cache_requests": True}, "cache_requests cannot be used.*give use_cache FILE"),
    ],
)
def test_other_prompts_are_refused_from_python_too(write_task, checkpoints, given, message):
    folder = write_task()
    with pytest.raises(ModelError, match=f"^{message}"):
        evaluate(checkpoints["codi"], folder, names=("own",), include=folder, **given)
