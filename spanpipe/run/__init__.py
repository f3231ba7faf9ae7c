"""``spanpipe run``: functions in the sandbox, and what became of each invocation."""
