"""Pictures of items: from where they may come, fetching them, checking them, and the view that they become."""
