"""Parts of APOSMM: which points are near which, and where local runs start."""
