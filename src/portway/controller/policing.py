"""PolicyFile: the policy in the home, read anew whenever it is asked for, so that a change needs no restart."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from portway.controller.views import ReleaseRequest
from portway.core.app import App
from portway.core.errors import RequestError
from portway.core.policy import Ground, Policy, check_policy, forbidden_mount, parse_policy

NAME = "policy.toml"


class PolicyFile:
    """What callers who are no admins may ask for on this machine; the strict policy without a home."""

    def __init__(
        self, home: Path | None, *, runs_commands: bool = False, runs_both: bool = False
    ) -> None:
        self._path = home / NAME if home is not None else None
        self._runs_commands = runs_commands
        self._runs_both = runs_both

    def read(self) -> Policy:
        """The policy; the strict one where there is no file. RequestError for a file that cannot be used."""
        if self._path is None:
            return Policy()
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Policy()
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(
                f"The policy {self._path} cannot be read.",
                hint="An admin mends or deletes it.",
                http_status=409,
            ) from error
        return parse_policy(text, file=str(self._path))

    def check_request(
        self, apps: Iterable[App], request: ReleaseRequest, *, within_policy: bool
    ) -> None:
        """The same for what a caller asks to plan or release; an admin is bound by nothing."""
        if within_policy:
            self.check(apps, directory=request.directory, file=request.manifest_name)

    def check(self, apps: Iterable[App], *, directory: str, file: str) -> None:
        """PolicyError with everything in the Apps that is not allowed now."""
        check_policy(apps, self._ground(directory), file=file)

    def forbidden_at_start(self, app: App, *, directory: str) -> str:
        """Why the App may not be started as it is, "" when it may: a path may lead elsewhere than when it was released."""
        try:
            return forbidden_mount(app, self._ground(directory))
        except RequestError as error:
            return error.message

    def _ground(self, directory: str) -> Ground:
        return Ground(
            policy=self.read(),
            real_path=os.path.realpath,
            directory=directory,
            runs_commands=self._runs_commands,
            runs_both=self._runs_both,
        )
