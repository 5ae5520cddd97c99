"""States: the content of workspaces in a store. Workers without a shared disk bring and store it around each task."""
