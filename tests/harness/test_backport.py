"""The wheel, and the back-port that it brings, against the real lm-eval in real processes."""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ROOMS = ("harness", "tasks", "models", "reward", "results")
# The back-port goes to the root of the wheel; the others are what README shows.
NOT_PACKAGED = {
    ("harness", "backport"),
    *(("results", name) for name in ("baselines", "board", "tiny-coconut")),
}
AT_THE_ROOT = {
    f"latent_tts/{name}"
    for name in (
        "__init__.py",
        "differences.py",
        "files.py",
        "errors.py",
        "boxes.py",
        "numerals.py",
        "registry.py",
        "py.typed",
    )
}
SHIPPED = {".py", ".yaml", ".jsonl", ".json", ".safetensors", ".md", ".js", ".css", ".jinja"}
BACKPORT = ("_latent_tts_backport.py", "latent_tts_backport.pth")

# A plugin of somebody else's, small enough to run: entry points of every group.
PLUGIN = """
from lm_eval.api.filter import Filter
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model

@register_model("otherplugin")  # as upstream's guide says, beside the entry point
class Model(LM):
    def __init__(self, **settings):
        super().__init__()
    def loglikelihood(self, requests):
        raise NotImplementedError
    loglikelihood_rolling = loglikelihood
    def generate_until(self, requests):
        return ["pong" for _ in requests]

class Shout(Filter):
    def apply(self, resps, docs):
        return [[text.upper() for text in texts] for texts in resps]

def metric(items):
    return 1.0
"""
ENTRY_POINTS = """
[lm_eval.models]
otherplugin = otherplugin:Model
dummy = otherplugin:Model
[lm_eval.filters]
shout = otherplugin:Shout
[lm_eval.metrics]
othermetric = otherplugin:metric
[lm_eval.aggregations]
othersum = otherplugin:metric
"""
TASK = """
task: ping
custom_dataset: !function ping.data
output_type: generate_until
test_split: test
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["."]}
filter_list:
  - {name: loud, filter: [{function: shout}, {function: take_first}]}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""
DATA = """
from datasets import Dataset, DatasetDict

def data(**kwargs):
    rows = [{"question": "ping", "answer": "PONG"}] * 2
    return DatasetDict(test=Dataset.from_list(rows))
"""


@dataclass(frozen=True)
class Environment:
    """A virtual environment that borrows the dependencies of the one that runs the tests."""

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    @property
    def site(self) -> Path:
        return next(self.folder.glob("lib/python*/site-packages"))

    def pip(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "pip", "--python", self.python, "--quiet", *arguments]
        subprocess.run(command, check=True, capture_output=True, text=True)

    def install(self, *arguments: str) -> None:
        # What lies in the borrowed environment does not count as installed in this one.
        self.pip("install", "--no-deps", "--no-index", "--ignore-installed", *arguments)

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program outside the repository."""
        return subprocess.run(
            [str(self.folder / "bin" / command[0]), *command[1:]],
            cwd=self.folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=600,
        )

    def ask(self, code: str, **environment: str):
        """Run code that prints JSON last; it must print nothing to stderr."""
        done = self.run("python", "-W", "error", "-c", code, **environment)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout.splitlines()[-1])


def new_environment(folder: Path) -> Environment:
    """Make an environment with the other plugin and a real lm-eval that indexes few tasks."""
    venv.create(folder, symlinks=True)
    environment = Environment(folder)
    site = environment.site
    # Plain paths: what the parent has installed is found, its .pth files are not run.
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (site / "parent.pth").write_text("\n".join(borrowed))
    original = distribution("lm_eval")
    package = Path(str(original.locate_file("lm_eval")))
    # Without the thousands of YAMLs, which take lm-eval ten seconds to read at each start.
    shutil.copytree(
        package,
        site / "lm_eval",
        ignore=lambda at, names: (
            [name for name in names if Path(at, name).is_dir()]
            if Path(at) == package / "tasks"
            else ["__pycache__"]
        ),
    )
    for entry in ("lm_eval", "lm-eval"):
        script = folder / "bin" / entry
        script.write_text(
            f"#!{environment.python}\nfrom lm_eval.__main__ import cli_evaluate\ncli_evaluate()\n"
        )
        script.chmod(0o755)
    (site / "otherplugin.py").write_text(PLUGIN)
    metadata = site / "otherplugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: otherplugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    tasks = folder / "their_tasks"
    tasks.mkdir()
    (tasks / "ping.yaml").write_text(TASK)
    (tasks / "ping.py").write_text(DATA)
    return environment


@pytest.fixture(scope="session")
def sources(tmp_path_factory, repository_files) -> Path:
    """A copy of the repository, so that building leaves nothing in the original."""
    folder = tmp_path_factory.mktemp("sources")
    for file in repository_files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    return folder


def build(kind: str, at: Path, into: Path) -> Path:
    """Call the build backend without isolation, which would need the network."""
    code = f"import setuptools.build_meta as b, sys; b.build_{kind}(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, str(into)], cwd=at, check=True, capture_output=True, text=True
    )
    (built,) = into.iterdir()
    return built


@pytest.fixture(scope="session")
def wheel(tmp_path_factory, sources) -> Path:
    """The wheel, built from the sdist, as an index would serve it."""
    sdist = build("sdist", sources, tmp_path_factory.mktemp("sdist"))
    unpacked = tmp_path_factory.mktemp("unpacked")
    shutil.unpack_archive(sdist, unpacked)
    return build("wheel", next(unpacked.iterdir()), tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def normal(tmp_path_factory, wheel) -> Environment:
    environment = new_environment(tmp_path_factory.mktemp("normal"))
    environment.install(str(wheel))
    return environment


@pytest.fixture(scope="session")
def editable(tmp_path_factory, sources) -> Environment:
    environment = new_environment(tmp_path_factory.mktemp("editable"))
    environment.install("--no-build-isolation", "--editable", str(sources))
    return environment


@pytest.fixture(params=["normal", "editable"])
def installed(request) -> Environment:
    return request.getfixturevalue(request.param)


def test_the_wheel_ships_every_file_of_the_rooms(wheel, repository_files):
    expected = {
        f"latent_tts/{file.as_posix()}"
        for file in repository_files
        if file.parts[0] in ROOMS
        and file.parts[:2] not in NOT_PACKAGED
        and (file.suffix in SHIPPED or file.name == "py.typed")
    }
    with zipfile.ZipFile(wheel) as archive:
        content = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert content == expected | AT_THE_ROOT | set(BACKPORT)


def test_no_room_holds_a_file_of_a_kind_that_is_not_shipped(repository_files):
    kept_back = [
        file
        for file in repository_files
        if file.parts[0] in ROOMS
        and file.parts[:2] not in NOT_PACKAGED
        and file.suffix not in SHIPPED
        and file.name != "py.typed"
    ]
    assert kept_back == []


REGISTERED = """
import json, lm_eval.api.registry as r, lm_eval.models, lm_eval.filters, lm_eval.api.metrics, sys
print(json.dumps({
    "models": [n for n in r.model_registry if n.startswith(("latent_tts", "other"))],
    "filters": [n for n in r.filter_registry if n.startswith(("latent_tts", "shout"))],
    "others": [n for n in [*r.metric_registry, *r.aggregation_registry] if n.startswith("other")],
    "dummy": str(dict(r.model_registry.items())["dummy"]),
    "finders": [type(f).__name__ for f in sys.meta_path if "latent" in type(f).__module__
                and "editable" not in type(f).__module__],
    "heavy": sorted({"torch", "otherplugin", "latent_tts"} & set(sys.modules)),
}))
"""


def test_every_installed_entry_point_is_registered_but_not_imported(installed):
    found = installed.ask(REGISTERED)
    assert set(found["models"]) == {"latent_tts", "otherplugin"}
    assert set(found["filters"]) == {
        "latent_tts_beam_search",
        "latent_tts_best_of_n",
        "latent_tts_first",
        "latent_tts_majority",
        "latent_tts_voting",
        "latent_tts_weighted",
        "latent_tts_weighted_voting",
        "shout",
    }
    assert set(found["others"]) == {"othermetric", "othersum"}
    assert found["heavy"] == []


def test_built_in_names_win(installed):
    assert installed.ask(REGISTERED)["dummy"] == "lm_eval.models.dummy:DummyLM"


def test_the_finder_leaves_once_its_work_is_done(installed):
    assert installed.ask(REGISTERED)["finders"] == []


def test_the_variable_switches_it_off(installed):
    found = installed.ask(REGISTERED, LATENT_TTS_NO_BACKPORT="1")
    assert found["models"] == found["filters"] == found["others"] == found["finders"] == []


def test_the_entry_points_lead_somewhere(installed):
    code = (
        "import json, lm_eval.api.registry as r, lm_eval.filters;"
        "print(json.dumps([r.get_model('latent_tts').__name__,"
        " *(r.get_filter(f'latent_tts_{name}').__name__ for name in ('first', 'majority'))]))"
    )
    done = installed.run("python", "-c", code)
    assert json.loads(done.stdout) == ["LatentLM", "first", "voting"], done.stderr


SHARED_FLAGS = ["--model", "otherplugin", "--tasks", "ping", "--include_path", "their_tasks"]
ROUTES = {
    "lm_eval": ["lm_eval", *SHARED_FLAGS],
    "lm-eval run": ["lm-eval", "run", *SHARED_FLAGS],
    "python -m lm_eval": ["python", "-m", "lm_eval", *SHARED_FLAGS],
    "accelerate launch": [
        *("python", "-m", "accelerate.commands.launch", "--cpu", "--num_processes=1"),
        *("--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"),
        *("-m", "lm_eval", *SHARED_FLAGS),
    ],
    "latent-tts eval": ["latent-tts", "eval", *SHARED_FLAGS],
}


@pytest.mark.parametrize("route", ROUTES)
def test_the_stock_commands_evaluate_a_plugin_model(normal, route):
    done = normal.run(*ROUTES[route])
    assert done.returncode == 0, done.stderr
    assert "|ping |" in done.stdout
    row = next(line for line in done.stdout.splitlines() if "exact_match" in line)
    assert row.split("|")[7].strip() == "1"  # the model's "pong", made loud by the filter


def test_an_editable_installation_evaluates_too(editable):
    done = editable.run(*ROUTES["lm_eval"])
    assert done.returncode == 0, done.stderr
    assert "exact_match" in done.stdout


def test_simple_evaluate_finds_it(normal):
    code = (
        "import json, lm_eval; from lm_eval.tasks import TaskManager;"
        "done = lm_eval.simple_evaluate(model='otherplugin', tasks=['ping'],"
        " task_manager=TaskManager(include_path='their_tasks'));"
        "print(json.dumps(done['results']['ping']['exact_match,loud']))"
    )
    done = normal.run("python", "-c", code)
    assert done.stdout.splitlines()[-1] == "1.0", done.stderr


def test_lm_eval_modules_look_untouched(normal):
    code = """
import importlib, importlib.resources, inspect, json, pickle
import lm_eval.models, lm_eval.filters, lm_eval.api.registry as r
loader = lm_eval.models.__spec__.loader
importlib.reload(lm_eval.models)
importlib.reload(lm_eval.filters)
print(json.dumps({
    "loader": [type(loader).__name__, "exec_module" in vars(loader)],
    "source": inspect.getsource(lm_eval.models).count("MODEL_MAPPING = {"),
    "resource": importlib.resources.files("lm_eval.models").joinpath("__init__.py").is_file(),
    "pickled": pickle.loads(pickle.dumps(lm_eval.filters.build_filter_ensemble)).__name__,
    "models": "otherplugin" in r.model_registry,
}))
"""
    assert normal.ask(code) == {
        "loader": ["SourceFileLoader", False],
        "source": 1,
        "resource": True,
        "pickled": "build_filter_ensemble",
        "models": True,
    }


def test_looking_a_module_up_without_importing_it_loses_nothing(normal):
    code = (
        "import importlib.util, json; importlib.util.find_spec('lm_eval.models');"
        "import lm_eval.models, lm_eval.api.registry as r;"
        "print(json.dumps('otherplugin' in r.model_registry))"
    )
    assert normal.ask(code) is True


def write_fake(folder: Path, registry: str) -> str:
    """Write an lm-eval of another version; return the path to put in front."""
    package = folder / "lm_eval"
    for name in ("", "api", "models", "filters"):
        (package / name).mkdir(parents=True) if name else package.mkdir()
        (package / name / "__init__.py").write_text("")
    (package / "api" / "registry.py").write_text(registry)
    (package / "models" / "__init__.py").write_text("import lm_eval.api.registry\n")
    return str(folder)


FAKE = """
class Registry(dict):
    def register(self, name, target=None):
        self[name] = target
model_registry = Registry()
filter_registry = Registry()
"""


@pytest.mark.parametrize(
    ("addition", "expected"),
    [("", True), ("def load_plugins(group, registry): ...", False), ("import_plugins = 1", False)],
)
def test_it_stands_aside_where_lm_eval_discovers_plugins_itself(
    normal, tmp_path, addition, expected
):
    path = write_fake(tmp_path, FAKE + addition)
    code = (
        "import json, lm_eval.models, lm_eval.api.registry as r;"
        "print(json.dumps('otherplugin' in r.model_registry))"
    )
    assert normal.ask(code, PYTHONPATH=path) is expected


def test_a_registry_it_does_not_know_costs_a_warning_not_the_import(normal, tmp_path):
    path = write_fake(tmp_path, "model_registry = {}\n")
    code = "import lm_eval.models; print('imported')"
    done = normal.run("python", "-W", "error", "-c", code, PYTHONPATH=path)
    assert (done.returncode, done.stdout) == (0, "imported\n")
    assert done.stderr.startswith("could not register the installed plugins of lm_eval.models")
    assert "check that lm-eval is 0.4.13 or newer" in done.stderr


def test_an_import_that_failed_can_be_tried_again(normal, tmp_path):
    path = write_fake(tmp_path, FAKE)
    code = """
import json, os, sys
try:
    import lm_eval.models
except RuntimeError as error:
    sys.broken_no_more = True
import lm_eval.models, lm_eval.api.registry as r
print(json.dumps("otherplugin" in r.model_registry))
"""
    (tmp_path / "lm_eval" / "models" / "__init__.py").write_text(
        "import lm_eval.api.registry, sys\n"
        "if not hasattr(sys, 'broken_no_more'):\n    raise RuntimeError('broken')\n"
    )
    assert normal.ask(code, PYTHONPATH=path) is True


@pytest.mark.parametrize("flags", [["-S"], ["-I"], ["-I", "-S"], ["-E"], ["-W", "error"]])
def test_python_starts_quietly_whatever_its_flags(installed, flags):
    done = installed.run("python", *flags, "-c", "print('started')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")


def test_starting_python_imports_neither_lm_eval_nor_torch(normal):
    code = (
        "import json, sys; heavy = {'torch', 'lm_eval', 'latent_tts', 'importlib.metadata',"
        " 'logging'}; print(json.dumps(sorted(heavy & set(sys.modules))))"
    )
    assert normal.ask(code) == []


def test_starting_python_imports_one_module_more(normal):
    def imported(off: str) -> set[str]:
        done = subprocess.run(
            [normal.python, "-c", "import sys; print(*sys.modules)"],
            env={**os.environ, "LATENT_TTS_NO_BACKPORT": off},
            capture_output=True,
            text=True,
            check=True,
        )
        return set(done.stdout.split())

    assert imported("") - imported("1") == {"_latent_tts_backport"}


def test_uninstalling_leaves_no_file(tmp_path, wheel):
    environment = new_environment(tmp_path)

    def files() -> set[Path]:
        found = environment.site.rglob("*")
        return {path for path in found if path.is_file() and path.suffix != ".pyc"}

    before = files()
    environment.install(str(wheel))
    assert set(BACKPORT) <= {path.name for path in files() - before}
    environment.pip("uninstall", "--yes", "latent-tts")
    assert files() == before
