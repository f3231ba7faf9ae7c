"""``spanpipe doctor``: facts in, findings out; `symptoms` is the table, the rest gathers facts."""
