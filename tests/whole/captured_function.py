"""A decorated handler, and one beside it that is not."""

from fifo import capture


@capture
def captured(event, context):
    return event


def plain(event, context):
    return event
