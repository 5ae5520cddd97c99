"""Models: what is learned, as named parts with a hash each. Encoder, head, users and ranker."""
