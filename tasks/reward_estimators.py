"""Names of before the table of strategies, until nobody uses them any more."""

from .strategies.weighted_voting import vote_weights, weighted_winner

__all__ = ["vote_weights", "weighted_winner"]
