"""The N candidates of a question: a pool, its file format, its judgement, its estimators."""
