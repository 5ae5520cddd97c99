"""Cold-start methods of the literature, and floors, on the features that ours sees: what `bench.quality` compares."""
