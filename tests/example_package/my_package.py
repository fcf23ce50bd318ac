"""The examples of docs/backbones-and-samplers.md in a package of its own, and a task."""

from collections import Counter
from dataclasses import dataclass

import datasets

from latent_tts.models import LatentBackbone, Sampler, real
from latent_tts.tasks import Strategy, vote_keys


class Doubled(LatentBackbone):
    """COCONUT with two thoughts for each of three steps."""

    backbone = "doubled"
    latent_defaults = {"latent_length": 6}

    def format_prompt(self, question):
        return f"{question}\n{self.start_marker}"

    def read_answer(self, text):
        _, hash_sign, tail = text.rpartition("#")
        return tail.strip() or None if hash_sign else None


@dataclass(frozen=True, kw_only=True)
class Uniform(Sampler):
    """Uniform noise of half width `uniform_width` on every thought."""

    name = "uniform"
    strength = "uniform_width"

    uniform_width: float = real(0.5)

    def varies(self, backbone, thoughts):
        return self.uniform_width > 0 and thoughts > 0

    def think(self, backbone, hidden, draw):
        thought = backbone.next_thought(hidden)
        noise = (2 * draw.uniform(thought.shape[-1]) - 1) * self.uniform_width
        return thought + noise.to(thought.dtype)


class RunnerUp(Strategy):
    """The second most frequent answer."""

    name = "runner_up"
    title = "runner-up"

    def choose(self, pool):
        """Return the earliest candidate of that answer, or None where there is none."""
        keys = vote_keys([candidate.answer for candidate in pool.candidates])
        votes = Counter(key for key in keys if key is not None).most_common(2)
        return pool.candidates[keys.index(votes[1][0])] if len(votes) == 2 else None


def load(**metadata):
    """The task's questions; lm-eval passes its --metadata."""
    rows = [
        {"id": f"sum-{i}", "question": f"What is {i} + {i + 1}?", "answer": str(2 * i + 1)}
        for i in range(3)
    ]
    return {"test": datasets.Dataset.from_list(rows)}
