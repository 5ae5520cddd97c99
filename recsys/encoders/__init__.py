"""Encoders: from texts to unit vectors. A transformer is packed once with torch, and run with OpenVINO."""
