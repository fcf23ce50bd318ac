"""`latent-tts check`: fail if runs are worse than a baseline."""

from pathlib import Path

import click

from ...results import ResultsError, collect
from ...results.reports.check import Finding, check_ratios, check_runs
from ...results.runs import pair_runs
from . import HELP
from .problems import tell


@click.command(context_settings=HELP)
@click.argument("folder", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--baseline", type=click.Path(exists=True, path_type=Path), help="Run or runs.")
@click.option("--alpha", default=0.01, help="False-alarm rate allowed.")
@click.option("--max-changed", default=0, help="Answers that may change.")
@click.option("--partial", is_flag=True, help="Not all of the baseline need be run again.")
@click.option("--allow-different", is_flag=True, help="Settings may differ from the baseline's.")
@click.option("--ratios", type=click.Path(exists=True, path_type=Path), help="JSON of speeds.")
@click.pass_context
def check(
    context: click.Context,
    folder: Path | None,
    baseline: Path | None,
    alpha: float,
    max_changed: int,
    partial: bool,
    allow_different: bool,
    ratios: Path | None,
) -> None:
    """Fail if runs in FOLDER are worse than the same runs of the baseline.

    A sampled run fails if pass@1, voting@N, best_of_n@N, weighted_voting@N or beam search dropped
    further than a paired one-sided test at alpha allows, adjusted for the number of tests (Holm):
    the same model under another seed fails with a probability of alpha at most. A deterministic run
    (latent_do_sample=false) fails if an answer changed. Every run in FOLDER is checked; one that
    cannot be, for it cannot be read or the baseline has none of its task and settings (the seed and
    the checkpoint apart), fails, and so does a run of the baseline that cannot be read or, unless
    --partial is given, was not run again. With --allow-different a run whose settings the baseline
    lacks is held against the nearest of its task: a drop may then be the settings'. Of pools of
    unequal N the first candidates count, as many as both have. --ratios, which `tox -e bench`
    writes, fails if a speed ratio lies below its bound. Exit code 1 means that something failed.
    """
    if (folder is None) != (baseline is None) or (folder is None and ratios is None):
        raise ResultsError("Give a run folder and its --baseline, or --ratios, or all of these.")
    found: list[Finding] = []
    if folder is not None and baseline is not None:
        (new, bad), (old, worse) = collect([folder]), collect([baseline])
        tell([*bad, *worse])
        pairing = pair_runs(new, old, allow_different=allow_different)
        for note in pairing.notes:
            click.echo(f"note: {note}", err=True)
        lost = [problem.path for problem in (*bad, *worse) if problem.lost]
        found += [Finding(f"{path}: NOT READ, see above", failed=True) for path in lost]
        found += check_runs(pairing, alpha=alpha, max_changed=max_changed, partial=partial)
    if ratios is not None:
        found.append(check_ratios(ratios))
    failed = any(finding.failed for finding in found)
    for finding in found:
        click.echo(f"{finding.text}\n")
    click.echo("FAILED" if failed else "passed")
    context.exit(int(failed))
