"""The same handler under New Relic's wrapper, as its README has it."""

import newrelic.agent
from newrelic_lambda.lambda_handler import lambda_handler
from plain import handler as plain

newrelic.agent.initialize()

handler = lambda_handler()(plain)
