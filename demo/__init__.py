"""The main job for real on one machine: demo data, servers, a workspace of its own, the walk."""
