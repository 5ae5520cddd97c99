"""Ranking: from candidates to scores and lists. Tasks, metrics, rankers, and how a ranker is learned."""
