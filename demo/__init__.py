"""The demo: the main job on one machine, with real servers, in a workspace of its own."""
