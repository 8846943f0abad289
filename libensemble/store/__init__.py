"""Facts that outlive a run."""
