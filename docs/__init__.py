"""What is drawn from the code."""
