"""Reasons why a picture cannot be fetched, with remedies. None of them stops a row of the catalogue."""

REMEDIES = {
    "not_allowed": "add its folder, bucket or host to images.sources in params.yaml, or land it beside the catalogue",
    "private_address": "if the host is yours, set images.private_addresses: true",
    "not_found": "correct the address in the catalogue, or put the picture there",
    "refused": "see why the host refuses it; it must give pictures without a login",
    "unreachable": "check that the host's name is right and that this machine reaches it",
    "too_slow": "raise images.timeout_s, or let a faster host serve it",
    "gave_up": "its host failed for others before it, see those; it is tried again with the next run",
    "too_large": "make it smaller, or raise images.max_file_mb",
    "too_many_pixels": "make it smaller, or raise images.max_megapixels",
    "too_small": "land a picture that shows the item, or lower images.min_side",
    "vector_graphic": "land it as JPEG, PNG or WebP: SVG may hold scripts and is never read",
    "no_picture": "land a JPEG, PNG or WebP",
    "damaged": "land the picture again, whole",
    "lost": "nothing: it is fetched again with the next run; if that repeats, check the disk",
}
"""Reason -> remedy."""
OF_THE_HOST = frozenset({"unreachable", "too_slow"})
"""Reasons that concern all pictures of a host."""
WITHOUT_DELAY = frozenset({"not_allowed", "gave_up", "lost"})
"""Reasons that do not depend on the answer of the picture's source: the next run tries again at once."""
