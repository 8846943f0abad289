"""The post between manager and workers."""
