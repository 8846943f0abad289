"""The ground: small things that know nothing of ensembles."""
