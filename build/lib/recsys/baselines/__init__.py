"""Other ways to recommend, judged beside the champion for comparison."""
