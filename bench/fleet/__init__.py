"""A simulation of thousands of Lambda environments that send to one receiver.

Each environment decides with the product's own schedule, breaker, backlog and ledger, on a
simulated clock. The receiver is a queue whose costs are measured on a real one.
`python -m bench.fleet --help`.
"""
