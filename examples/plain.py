"""A handler that knows nothing of spanpipe: AWS_LAMBDA_EXEC_WRAPPER captures it."""


def handler(order, context):
    if order.get("fail"):
        raise ValueError(f"no such order: {order['id']}")
    return {"id": order["id"], "items": "x" * order.get("bytes", 2)}
