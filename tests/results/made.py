"""Runs as lm-eval writes them, small and made up."""

import json
import statistics
from decimal import Decimal
from itertools import repeat

from latent_tts.results import Run, RunConfig, read_log
from latent_tts.tasks import Candidate, Pool, join_pools, pool_metrics, read_response

DATE = "2030-01-02T03-04-05.678000"
SETTINGS = {
    "latent_do_sample": True,
    "latent_do_sample_by": "noise",
    "noise_std": 0.6,
    "dropout_p": 0.05,
    "seed": 1,
    "do_sample": False,
    "temperature": 0.7,
}


def make_pool(*answers, rewards=None):
    return Pool(
        tuple(
            Candidate(
                text=f"### {a}", answer=a, thoughts=6, answer_tokens=2, truncated=False, reward=r
            )
            for a, r in zip(answers, rewards or repeat(None), strict=False)
        )
    )


def run_of(log, **config):
    """A run whose log this is, of which nothing else matters."""
    return Run(
        name="a run",
        task="latent_tts_arith",
        task_version="1.0",
        date=DATE,
        config=RunConfig(
            **{"backbone": None, "checkpoint": "tiny", "sampler": "none", "strength": None}
            | {"samples": None}
            | config
        ),
        metrics={},
        higher_is_better={},
        questions=1,
        questions_hash=None,
        throughput=None,
        tolerance="0",
        results=log.parent / f"results_{DATE}.json",
        samples=log,
    )


def pools_of(run):
    """All pools of a run, in the log's order."""
    return [logged.pool() for logged in read_log(run)]


def write_log(folder, samples, *, task="latent_tts_arith", date="2030-01-02T03-04-05.678"):
    """Write a log as lm-eval does; samples are (gold, responses)."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"samples_{task}_{date}.jsonl"
    lines = [
        json.dumps({"doc_id": i, "target": gold, "resps": [responses], "filter": "none"})
        for i, (gold, responses) in enumerate(samples)
    ]
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def write_run(
    folder,
    rows,
    *,
    task="latent_tts_arith",
    date=DATE,
    version=1.0,
    metadata=None,
    settings=None,
    versions=None,
    checkpoint=None,
    reward_model=None,
    ids=None,
    texts=None,
    of=None,
):
    """Write a run's two files; rows are (gold, pool). Return the results file.

    `of` is how many questions the task has, where that is more than are asked.
    """
    where = folder / "model"
    where.mkdir(parents=True, exist_ok=True)
    metadata = {"version": version, "ks": None, "tolerance": 0, **(metadata or {})}
    tolerance = Decimal(str(metadata["tolerance"]))
    metrics = [pool_metrics(pool, gold, tolerance=tolerance) for gold, pool in rows]
    with (where / f"samples_{task}_{date}.jsonl").open("w") as log:
        for index, ((gold, pool), values) in enumerate(zip(rows, metrics, strict=True)):
            doc = {
                "id": ids[index] if ids else f"q{index}",
                "question": texts[index] if texts else f"What is question {index}?",
                "answer": gold,
            }
            sample = {
                "doc_id": index,
                "doc": doc,
                "target": gold,
                "arguments": {"gen_args_0": {"arg_0": doc["question"], "arg_1": {}}},
                "resps": [[pool.to_json()]],
                "filtered_resps": [pool.to_json()],
                "filter": "none",
                "metrics": list(values),
                "doc_hash": "0" * 64,
                **values,
            }
            log.write(f"{json.dumps(sample)}\n")
    count = len(rows[0][1].candidates)
    made = {**SETTINGS, "num_return_sequences": count, **(settings or {})}
    content = {
        "results": {task: {"alias": task, **_numbers(metrics)}, "a_group": {"alias": "a_group"}},
        "group_subtasks": {"a_group": [task]},
        "configs": {task: {"task": task, "repeats": 1, "metadata": metadata}},
        "versions": {task: version, "a_group": "1.0"},
        "higher_is_better": {task: {"pass@1": True, "unparsed": False}},
        "n-samples": {task: {"original": of or len(rows), "effective": len(rows)}},
        "task_hashes": {task: f"{len(rows)} questions"},
        "config": {
            "model": "latent_tts",
            "model_num_parameters": 1000,
            "model_dtype": "torch.float32",
            "model_revision": "main",
            "latent_tts": {
                "checkpoint": {
                    "name": "tiny",
                    "revision": "main",
                    "commit": None,
                    "weights_sha256": "abc",
                    **(checkpoint or {}),
                },
                "backbone": "coconut",
                "prompt_format": "{question}",
                "aggregation": "majority",
                "settings": made,
                "reward_model": reward_model,
                "tasks": {
                    task: {
                        "settings": made,
                        "throughput": {
                            "tasks_together": [task],
                            "seconds": 2.0,
                            "samples": count * len(rows),
                        },
                    }
                },
                "device": "cpu",
                "versions": {"latent-tts": "0.1.0", **(versions or {})},
            },
        },
        "pretty_env_info": "a machine",
        "model_name_sanitized": "model",
    }
    results = where / f"results_{date}.json"
    results.write_text(json.dumps(content))
    return results


def edit(results, change):
    """Change a results file's content in place."""
    content = json.loads(results.read_text())
    change(content)
    results.write_text(json.dumps(content))


def log_of(results):
    """The only sample log beside a results file."""
    (log,) = results.parent.glob("samples_*")
    return log


def add_metric(results, name, judge):
    """Add a metric to a run: `judge(gold, pool)` gives each question's value."""
    log = log_of(results)
    samples = [json.loads(line) for line in log.read_text().splitlines()]
    for sample in samples:
        sample[name] = judge(sample["target"], Pool.from_json(sample["resps"][0][0]))
        sample["metrics"].append(name)
    log.write_text("".join(f"{json.dumps(sample)}\n" for sample in samples))

    def change(content):
        (task,) = content["configs"]
        values = [sample[name] for sample in samples]
        content["results"][task][f"{name},none"] = sum(values) / len(values)
        content["results"][task][f"{name}_stderr,none"] = 0.01
        content["higher_is_better"][task][name] = True

    edit(results, change)


def _numbers(metrics):
    numbers = {}
    for name in metrics[0]:
        values = [row[name] for row in metrics if name in row]
        numbers[f"{name},none"] = statistics.fmean(values)
        sem = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else "N/A"
        numbers[f"{name}_stderr,none"] = sem
    return numbers


def write_text_run(folder, rows, *, generation=None, model_args=None, **rest):
    """Write a run of lm-eval's `hf` model; rows are (gold, texts). Return the results file."""
    pools = [(gold, join_pools([read_response(text) for text in texts])) for gold, texts in rows]
    results = write_run(folder, pools, **rest)
    log = log_of(results)
    unknown = ("thoughts", "answer_tokens", "truncated")
    samples = [json.loads(line) for line in log.read_text().splitlines()]
    for sample, (_, texts) in zip(samples, rows, strict=True):
        sample["resps"] = [texts]
        sample["filtered_resps"] = texts
        sample["metrics"] = [name for name in sample["metrics"] if name not in unknown]
    log.write_text("".join(f"{json.dumps(sample)}\n" for sample in samples))

    def change(content):
        (task,) = content["configs"]
        numbers = content["results"][task]
        content["results"][task] = {
            name: value for name, value in numbers.items() if not name.startswith(unknown)
        }
        content["configs"][task]["repeats"] = len(rows[0][1])
        content["configs"][task]["generation_kwargs"] = {
            "return_pool": True,
            "until": [],
            **(generation or {}),
        }
        content["model_name"] = "some/model"
        config = content["config"]
        del config["latent_tts"]
        config |= {"model": "hf", "model_args": model_args or {"pretrained": "some/model"}}
        config |= {"torch_seed": 1234, "batch_size": 1}

    edit(results, change)
    return results
