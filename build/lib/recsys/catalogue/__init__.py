"""What has landed, what is accepted of it, and the parts it is kept in."""
