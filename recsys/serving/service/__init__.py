"""The HTTP service: FastAPI over one `Recommender`, which follows what CURRENT names."""
