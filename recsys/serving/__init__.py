"""Answers from a published release: `Release`, by which programs read one, and the service that answers over HTTP."""
