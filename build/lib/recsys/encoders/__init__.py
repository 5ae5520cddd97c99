"""Encoders: texts become unit vectors. Packed once (torch), run anywhere (openvino)."""
