"""An AWS CDK app: the layers, and a function each in Python, Node.js and Rust that has one.

``cdk deploy -c endpoint=https://…`` in this folder; `inputs` names every context value.
"""
