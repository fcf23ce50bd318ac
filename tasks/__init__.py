"""What is asked and how answers are judged: questions, answers, pools, votes, metrics."""

from .aggregation import NEEDS_REWARDS, STRATEGIES, aggregate, check_strategy
from .answers import canonical, is_correct, last_number, read_tolerance, vote_key
from .errors import TaskError
from .estimators import MAX_CANDIDATES, coverage_at_n, pass_at_k, voting_at_k
from .metrics import LOWER_IS_BETTER, NEUTRAL, default_ks, pool_metrics
from .pool import Candidate, Pool
from .question import Question, read_questions
from .responses import is_pool, join_pools, read_response

__all__ = [
    "LOWER_IS_BETTER",
    "MAX_CANDIDATES",
    "NEEDS_REWARDS",
    "NEUTRAL",
    "STRATEGIES",
    "Candidate",
    "Pool",
    "Question",
    "TaskError",
    "aggregate",
    "canonical",
    "check_strategy",
    "coverage_at_n",
    "default_ks",
    "is_correct",
    "is_pool",
    "join_pools",
    "last_number",
    "pass_at_k",
    "pool_metrics",
    "read_questions",
    "read_response",
    "read_tolerance",
    "vote_key",
    "voting_at_k",
]
