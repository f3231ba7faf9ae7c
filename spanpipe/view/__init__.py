"""``spanpipe view``: a local page that shows spans as they arrive."""
