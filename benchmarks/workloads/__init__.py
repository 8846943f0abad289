"""Scripts that are run as processes of their own and print what they measured as one line of JSON."""
