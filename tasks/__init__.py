"""What is asked and how answers are judged: questions, answers, pools, strategies, metrics."""

from .answers import canonical, is_correct, last_number, read_number, read_tolerance, vote_keys
from .errors import TaskError
from .judges import Judge, find_judge
from .metrics import LOWER_IS_BETTER, NEUTRAL, default_ks, pool_metrics
from .pools.estimators import MAX_CANDIDATES, coverage_at_n, pass_at_k
from .pools.judged import JudgedPool, judge_pool
from .pools.pool import Candidate, Pool
from .pools.responses import is_pool, join_pools, read_response
from .question import Question, read_questions
from .solved import Solved, read_solved
from .strategies import STRATEGIES, find_strategy, strategy_of
from .strategies.protocol import Strategy
from .strategies.voting import voting_at_k
from .strategies.weighted_voting import vote_weights

__all__ = [
    "LOWER_IS_BETTER",
    "MAX_CANDIDATES",
    "NEUTRAL",
    "STRATEGIES",
    "Candidate",
    "Judge",
    "JudgedPool",
    "Pool",
    "Question",
    "Solved",
    "Strategy",
    "TaskError",
    "canonical",
    "coverage_at_n",
    "default_ks",
    "find_judge",
    "find_strategy",
    "is_correct",
    "is_pool",
    "join_pools",
    "judge_pool",
    "last_number",
    "pass_at_k",
    "pool_metrics",
    "read_number",
    "read_questions",
    "read_response",
    "read_solved",
    "read_tolerance",
    "strategy_of",
    "vote_keys",
    "vote_weights",
    "voting_at_k",
]
