"""Generator functions, and `rc`: what they should import before they are first used."""


class RC:
    """Settings of the generator functions; `rc` is the one instance.

    Set them before the generator function that reads them is first imported.
    """

    def __init__(self) -> None:
        self._aposmm_optimizers: list[str] | None = None

    @property
    def aposmm_optimizers(self) -> list[str] | None:
        """Packages of local optimisers that APOSMM imports at once, or None: each run imports what it needs.

        Names: petsc, nlopt, dfols, scipy, external, external_localopt, ibcdfo, ibcdfo_pounders,
        ibcdfo_manifold_sampling. One name may be given as a plain string.
        """
        return self._aposmm_optimizers

    @aposmm_optimizers.setter
    def aposmm_optimizers(self, names: str | list[str] | None) -> None:
        self._aposmm_optimizers = [names] if isinstance(names, str) else names


rc = RC()
