"""Who interacted with what: interactions over item rows and user rows, and what is known of the items."""
