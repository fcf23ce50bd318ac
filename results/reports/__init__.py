"""What is made of runs: comparisons, gates, charts, tables and the leaderboard."""
