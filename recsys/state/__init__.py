"""What a workspace holds, kept in a store: workers that share no disk bring it before a task, and store it after."""
