"""What the machine has, how it is cut into resource sets, and where a request lies."""
