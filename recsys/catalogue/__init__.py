"""What has landed, what is accepted, and the parts that hold it."""
