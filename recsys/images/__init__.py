"""Pictures of items: allowed sources, fetching, checks, and the view that is made of them."""
