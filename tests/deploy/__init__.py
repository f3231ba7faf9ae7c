"""What is deployed: CDK, SAM, Terraform, and what they deploy."""
