"""Publishing: build a release, check it, store it, and swap the pointer to it."""
