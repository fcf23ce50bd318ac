"""A strategy of another package, whole: the answer that has the second most votes."""

from collections import Counter

from latent_tts.tasks import Candidate, Pool, Strategy, vote_keys


class SecondMostFrequent(Strategy):
    """The earliest candidate of the second most frequent answer."""

    name = "second_most_frequent"
    title = "second"

    def choose(self, pool: Pool) -> Candidate | None:
        """Return it, or None where all candidates agree."""
        keys = vote_keys([candidate.answer for candidate in pool.candidates])
        votes = Counter(key for key in keys if key is not None).most_common(2)
        return pool.candidates[keys.index(votes[1][0])] if len(votes) == 2 else None
