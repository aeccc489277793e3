"""What is done to the harness to see whether it holds: faults, bad inputs, several processes. Not shipped."""
