"""Benchmarks are ratios of two ways to do one thing, timed in the same run.

    tox -e bench

A ratio holds on any machine; a time does not. Each benchmark runs both of its sides, takes the
fastest round of each, and names the least ratio that is allowed. `.benchmarks/ratios.json` gets
all of them, for `latent-tts check --ratios`.
"""

import json

import pytest


@pytest.fixture(params=["slow", "fast"])
def versus(request, benchmark):
    """Time one side; `work` says how many times more the fast side does."""

    def run(*, bound, slow, fast, work=1.0, rounds=5):
        name = request.node.originalname.removeprefix("test_")
        benchmark.group = name
        benchmark.extra_info.update(ratio=name, side=request.param, bound=bound, work=work)
        function = {"slow": slow, "fast": fast}[request.param]
        benchmark.pedantic(function, rounds=rounds, warmup_rounds=1)

    return run


def pytest_benchmark_update_json(config, benchmarks, output_json):
    """Write the ratios beside pytest-benchmark's own file."""
    ratios = {}
    for entry in output_json["benchmarks"]:
        about = entry["extra_info"]
        ratios.setdefault(about["ratio"], {})[about["side"]] = entry["stats"]["min"]
        ratios[about["ratio"]] |= {"bound": about["bound"], "work": about["work"]}
    table = {
        name: {"ratio": found["work"] * found["slow"] / found["fast"], "bound": found["bound"]}
        for name, found in ratios.items()
        if {"slow", "fast"} <= found.keys()
    }
    file = config.rootpath / ".benchmarks" / "ratios.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(table, indent=2))
