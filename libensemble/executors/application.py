"""Executables with names.

Owns `Application`, what was registered and how it is found and written on a command line, and `Registry`, the
applications that an executor knows.
"""

import os
import shlex
import shutil
import sys
from typing import Any

from libensemble.errors import ExecutorException


def jassert(test: Any, *args: Any) -> None:
    """Raise ``ExecutorException(*args)`` unless `test` holds."""
    if not test:
        raise ExecutorException(*args)


def split_text(text: str) -> list[str]:
    """Split text into words: at white space, or as a shell does when it holds quotes.

    Raises
    ------
    ExecutorException
        A quote is not closed.
    """
    if "'" not in text and '"' not in text:
        return text.split()
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ExecutorException(f"cannot split {text!r} into arguments ({error}); give a list of strings") from error


class Application:
    """An executable that can be submitted under a name.

    Parameters
    ----------
    full_path : str
        Path of the executable or script. A relative one is looked up from the directory of each submit.
    name : str, optional
        Default: the last part of `full_path`.
    calc_type : str, optional
        ``"sim"`` or ``"gen"``.
    desc : str, optional
    pyobj : object, optional
        Whatever another system knows the application by.
    precedent : str, optional
        Text in front of `full_path`, such as an interpreter or a container command. For a path that ends in ``.py``
        the default is the Python that runs now.

    Attributes
    ----------
    exe, calc_dir : str
        Last part of `full_path`, and the part before it.
    gname : str
        ``libe_app_<name>``.
    app_cmd : str
        `precedent` and `full_path`, joined by a space.
    """

    prefix = "libe_app"

    def __init__(
        self,
        full_path: str,
        name: str | None = None,
        calc_type: str | None = "sim",
        desc: str | None = None,
        pyobj: Any = None,
        precedent: str | None = "",
    ) -> None:
        self.full_path = full_path
        self.calc_dir, self.exe = os.path.split(full_path or "")
        self.calc_type = calc_type
        self.name = name or self.exe
        self.desc = desc or f"{self.exe} app"
        self.gname = f"{self.prefix}_{self.name}"
        self.pyobj = pyobj
        self.precedent = sys.executable if self.exe.endswith(".py") and not precedent else precedent

    @property
    def _runs_here(self) -> bool:
        return self.exe.endswith(".py") and self.precedent == sys.executable

    @property
    def app_cmd(self) -> str:
        """The command as text."""
        return " ".join(part for part in (self.precedent, self.full_path) if part)

    def words(self) -> list[str]:
        """Return the command as words; the path stays whole, spaces and all."""
        path = [self.full_path] if self.full_path else []
        if self._runs_here:
            return [sys.executable, *path]  # one word, spaces and all
        return split_text(self.precedent or "") + path

    def check_exists(self, directory: str) -> None:
        """Check that the application can be started from a directory.

        An application with a precedent of the user's is not looked for: it may live in a container.

        Raises
        ------
        ExecutorException
            There is no such file; the second argument names the places that were searched.
        """
        if self.precedent and not self._runs_here:
            return
        if os.path.isfile(os.path.join(directory, self.full_path)):
            return
        message = f"Application does not exist {self.full_path}"
        if os.path.isabs(self.full_path):
            raise ExecutorException(message)
        if self.calc_dir or self._runs_here:
            raise ExecutorException(message, f"It was looked for from {directory}")
        if shutil.which(self.full_path) is None:
            places = f"{directory} and on PATH ({os.environ.get('PATH', '')})"
            raise ExecutorException(message, f"It was looked for in {places}")

    def is_local_name(self, directory: str) -> bool:
        """Return whether this is a bare name, not on PATH, of a file in the directory."""
        if self.precedent or self.calc_dir or not os.path.isfile(os.path.join(directory, self.full_path)):
            return False
        return shutil.which(self.full_path) is None


class Registry:
    """The applications that an executor knows."""

    apps: dict[str, Application]
    default_apps: dict[str, Application | None]

    def register_app(
        self,
        full_path: str,
        app_name: str | None = None,
        calc_type: str | None = None,
        desc: str | None = None,
        precedent: str | None = "",
    ) -> None:
        """Register an application.

        Parameters
        ----------
        full_path : str
            Path of the executable. A relative path is seen from the directory of each submit; a bare name may also
            lie on PATH. It need not exist yet.
        app_name : str, optional
            Name for `submit`; default: the last part of the path. A known name is registered anew.
        calc_type : {"sim", "gen"}, optional
            Make it the default application of this type.
        desc : str, optional
        precedent : str, optional
            Text in front of the path, such as an interpreter or a container command. ``%LIBENSEMBLE_SIM_DIR%`` in it
            becomes the submit's directory, seen from the workflow's. A ``.py`` file without one gets this Python.

        Raises
        ------
        ExecutorException
            `calc_type` is something else.
        """
        if calc_type is not None:
            jassert(calc_type in self.default_apps, "Unrecognized calculation type", calc_type)
        name = app_name or os.path.basename(full_path)
        app = Application(full_path, name, calc_type, desc, None, precedent)
        self._add(app)

    def _add(self, app: Application) -> None:
        self.apps[app.name] = app
        if app.calc_type is not None:
            self.default_apps[app.calc_type] = app

    @property
    def sim_default_app(self) -> Application | None:
        """The default application for simulators."""
        return self.default_apps["sim"]

    @property
    def gen_default_app(self) -> Application | None:
        """The default application for generators."""
        return self.default_apps["gen"]

    def get_app(self, app_name: str) -> Application:
        """Return a registered application.

        Raises
        ------
        ExecutorException
            No application has this name; the second argument lists the names there are.
        """
        jassert(
            app_name in self.apps,
            f"Application {app_name} not found in registry",
            f"Registered applications: {list(self.apps)}",
        )
        return self.apps[app_name]

    def default_app(self, calc_type: str) -> Application:
        """Return the default application of a type.

        Raises
        ------
        ExecutorException
            There is none, or no such type.
        """
        jassert(calc_type in self.default_apps, "Unrecognized calculation type", calc_type)
        app = self.default_apps[calc_type]
        if app is None:
            raise ExecutorException(f"Default {calc_type} app is not set")
        return app
