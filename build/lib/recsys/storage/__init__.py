"""One way to read and write a folder or a bucket; `open_storage` in `opening.py` opens either."""
