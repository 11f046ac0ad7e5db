"""Config: flags, environment (PORTWAY_*) and file -> one frozen value; units in the names.

Every setting has one name: `host_ports` here is --host-ports, PORTWAY_HOST_PORTS and `host-ports`
in the file. Imported by every command, so it imports nothing slow; reads nothing by itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from portway.core.errors import RequestError
from portway.core.lease import PortRange, node_ranges
from portway.core.listen_address import is_host, is_loopback, split_listen

_PORT_MAX = 65535
_SOCKET_PATH_BYTES_MAX = 107  # sun_path of unix(7) without its ending NUL
_TOKEN_LENGTH_ADVISED = 16
_PREFIX = "PORTWAY_"
_ENGINES = ("docker", "process", "memory")
_STORE_SCHEMES = ("postgres", "postgresql", "postgresql+psycopg")
_DOCKER_SCHEMES = ("unix", "tcp", "http", "https")
_DURATION_UNITS_S = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}
# PORTWAY_ variables that are no settings: other parts of portway read or write them.
_OTHER_VARIABLES = ("app", "complete", "home_id", "instance", "release", "slot", "stack")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that can be set. Precedence: flag, PORTWAY_* variable, --config file (TOML), default."""

    home: Path
    listen: str = "127.0.0.1:8080"  # "" = unix socket only
    engine: str = "docker"  # docker | process | memory
    host_ports: PortRange = PortRange(first=31000, last=32000)
    service_ports: PortRange = PortRange(first=10000, last=20000)
    public_address: str = ""  # "" = all addresses
    publish_address: str = "127.0.0.1"  # where instance ports are published
    store_url: str = field(default="", repr=False)  # "" = SQLite under home; may hold a password
    token: str = field(default="", repr=False)
    docker_host: str = ""  # "" = DOCKER_HOST or /var/run/docker.sock
    docker_at_once: int = 4  # containers started, and as many ended, at a time
    haproxy: str = "haproxy"
    hold_down_s: float = 5.0
    memory_nodes: int = 1
    node_ports: Mapping[str, PortRange] = field(default_factory=dict)  # instead of `host_ports`
    log_level: str = "info"
    log_format: str = "auto"  # auto | json | text
    journal_days: int = 30  # how far back the journal goes
    access_log: bool = False  # of every App that does not say otherwise
    body_size_max_bytes: int = 16 * 1024 * 1024
    aws_verify_signatures: bool = True  # off: only where nobody but this machine can connect
    aws_region: str = "us-east-1"
    aws_ephemeral_ports: PortRange | None = None  # None: the kernel's
    aws_account_id: str = "000000000000"
    aws_load_balancer_addresses: str = "127.64.0.0/16"  # one of them for each load balancer
    aws_hosts_file: str = "/etc/hosts"  # where their names are kept; "" = nowhere
    marathon_http_port: int = 80  # where virtual hosts of Marathon's apps are served
    marathon_https_port: int = 443
    marathon_groups: tuple[str, ...] = ("*",)  # whose ports are served, by their HAPROXY_GROUP
    marathon_env_vars_prefix: str = ""  # of HOST and the ports its apps are told
    marathon_certificates: Path | None = (
        None  # the directory of those that HAPROXY_n_SSL_CERT names
    )
    warnings: tuple[str, ...] = ()  # what is odd about the settings, for people

    @property
    def socket_path(self) -> Path:
        """The unix socket the CLI talks to."""
        return self.home / "portway.sock"


def load_config(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    read_text: Callable[[Path], str],
    is_root: bool,
    home_dir: str | Path,
    has_tokens: Callable[[Path], bool] = lambda home: False,
) -> Config:
    """The Config that flags, environment and file give together; RequestError naming whatever is wrong in them.

    A flag that is None was not given. `read_text` reads the --config file and the token file; `has_tokens`
    says whether a home has tokens made by `portway token create`.
    """
    user_home = Path(home_dir)
    layers = [_read_flags(flags), _read_environment(environ)]
    if given := _find(layers, "config"):
        layers.append(_read_file(_parse_path(given, user_home), given, read_text))
    values: dict[str, Any] = {}
    for name, parse in _PARSERS.items():
        if value := _find(layers, name):
            values[name] = parse(value)
    if directory := _find(layers, "marathon_certificates"):
        values["marathon_certificates"] = _parse_path(directory, user_home)
    if home := _find(layers, "home"):
        values["home"] = _parse_path(home, user_home)
    else:
        values["home"] = _default_home(environ, is_root=is_root, user_home=user_home)
    token = _find_token(layers)
    if token is not None:
        values["token"] = _read_token(token, user_home, read_text)
    config = Config(**values, warnings=tuple(_warnings(environ, token, values.get("token", ""))))
    if not config.token and not has_tokens(config.home):
        _check_reach(config, layers)
    _check_together(config)
    return config


@dataclass(frozen=True, slots=True)
class _Given:
    """A value and where it was given, in the words of whoever gave it."""

    value: object
    where: str
    name: str
    directory: Path = Path()  # where relative paths begin

    @property
    def text(self) -> str:
        return str(self.value).strip()

    def refusal(self, what: str, hint: str) -> RequestError:
        """The refusal of this value: `what` completes "--engine ..."."""
        return RequestError(
            f"{self.where} {what}{'' if what.endswith(('.', '?')) else '.'}", hint=hint
        )


_Layer = Mapping[str, _Given]


def _read_flags(flags: Mapping[str, object]) -> _Layer:
    layer: dict[str, _Given] = {}
    for flag, value in flags.items():
        name = _plain(flag.removeprefix("--"))
        assert name in _NAMES, f"no such setting: {flag}"
        if value is not None:
            layer[name] = _Given(value, f"--{_dashed(name)}", name)
    return layer


def _read_environment(environ: Mapping[str, str]) -> _Layer:
    """An empty variable counts as not set, except where "" is a value of its own."""
    return {
        name: _Given(environ[variable], variable, name)
        for name in _NAMES
        if (variable := f"{_PREFIX}{name.upper()}") in environ
        and (environ[variable].strip() or name == "listen")
    }


def _read_file(path: Path, given: _Given, read_text: Callable[[Path], str]) -> _Layer:
    import tomllib

    try:
        table = tomllib.loads(_read(path, given, read_text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RequestError(
            f"{path} is not valid TOML: {error}.",
            hint='Write one setting a line, for instance: host-ports = "31000-32000".',
        ) from error
    layer: dict[str, _Given] = {}
    for key, value in table.items():
        name = _plain(key)
        where = f'"{key}" in {path}'
        if name not in _NAMES or name == "config":
            raise _unknown_key(key, path)
        if name in layer:
            raise RequestError(f"{where} is given twice.", hint="Remove one of the two.")
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise RequestError(f"{where} must be a text or a number.", hint=f'Write {key} = "...".')
        layer[name] = _Given(value, where, name, path.parent)
    return layer


def _unknown_key(key: str, path: Path) -> RequestError:
    from portway.core.suggest import did_you_mean

    known = sorted(_dashed(name) for name in _NAMES - {"config"})
    guess = did_you_mean(_dashed(_plain(key)), known)
    return RequestError(
        f'"{key}" in {path} is not a setting.{guess}', hint=f"The settings are: {', '.join(known)}."
    )


def _read(path: Path, given: _Given, read_text: Callable[[Path], str]) -> str:
    try:
        return read_text(path)
    except OSError as error:
        raise RequestError(
            f"{given.where} names {path}, which cannot be read: {error.strerror or error}.",
            hint="Name a file that is there and that this user may read.",
        ) from error
    except UnicodeDecodeError as error:
        raise RequestError(
            f"{given.where} names {path}, which is not UTF-8 text.", hint="Name a text file."
        ) from error


def _find(layers: Sequence[_Layer], name: str) -> _Given | None:
    return next((layer[name] for layer in layers if name in layer), None)


def _find_token(layers: Sequence[_Layer]) -> _Given | None:
    """token and token_file are one setting: the first layer that has either decides."""
    for layer in layers:
        token, file = layer.get("token"), layer.get("token_file")
        if token and file:
            raise token.refusal(
                f"and {file.where} are both given", "Give the token itself or its file."
            )
        if found := token or file:
            return found
    return None


def _read_token(given: _Given, user_home: Path, read_text: Callable[[Path], str]) -> str:
    if given.name == "token":
        token = given.text
    else:
        token = _read(_parse_path(given, user_home), given, read_text).strip()
    if not token:
        raise given.refusal("holds no token", "Put a long random text there: openssl rand -hex 32.")
    if not re.fullmatch(r"[!-~]+", token):
        raise given.refusal(
            "holds a token with characters that HTTP cannot carry",
            "Use letters and digits in one word: openssl rand -hex 32.",
        )
    return token


def _default_home(environ: Mapping[str, str], *, is_root: bool, user_home: Path) -> Path:
    if is_root:
        return Path("/var/lib/portway")
    state = environ.get("XDG_STATE_HOME", "")
    # The XDG specification says that a relative path is to be ignored.
    base = Path(state) if state.startswith("/") else user_home / ".local" / "state"
    return base / "portway"


def _warnings(environ: Mapping[str, str], token: _Given | None, secret: str) -> Iterator[str]:
    known = {f"{_PREFIX}{name.upper()}" for name in (*_NAMES, *_OTHER_VARIABLES)}
    for variable in sorted(environ):
        if variable.startswith(_PREFIX) and variable not in known:
            from portway.core.suggest import did_you_mean

            yield f"{variable} is set but is no setting of portway.{did_you_mean(variable, known)}"
    if token is not None and token.where == "--token":
        yield "Every user of this machine can read --token in the process list; use --token-file."
    if token is not None and len(secret) < _TOKEN_LENGTH_ADVISED:
        yield f"The token of {token.where} has only {len(secret)} characters and could be guessed."


def _check_reach(config: Config, layers: Sequence[_Layer]) -> None:
    if config.listen and not is_loopback(split_listen(config.listen)[0]):
        given = _find(layers, "listen")
        where = given.where if given else "--listen"
        raise RequestError(
            f"{where} {config.listen} can be reached by other machines, and no token is set:"
            " whoever reaches it could run anything here.",
            hint="Set PORTWAY_TOKEN (or --token-file FILE) to a long random text (openssl rand -hex 32),"
            " make one with `portway token create`, or listen on 127.0.0.1.",
        )


def _check_together(config: Config) -> None:
    _check_ranges(config)
    size = len(os.fsencode(config.socket_path))
    if size > _SOCKET_PATH_BYTES_MAX:
        raise RequestError(
            f"The home {config.home} is too deep: its socket {config.socket_path.name} would have a path of"
            f" {size} bytes, and a unix socket may have {_SOCKET_PATH_BYTES_MAX}.",
            hint="Choose a shorter --home (or PORTWAY_HOME).",
        )


def _check_ranges(config: Config) -> None:
    if config.marathon_http_port == config.marathon_https_port:
        raise RequestError(
            f"marathon-http-port and marathon-https-port are both {config.marathon_http_port}.",
            hint="One speaks HTTP, the other HTTPS: give each a port of its own.",
        )
    host, service = config.host_ports, config.service_ports
    if host.first <= service.last and service.first <= host.last:
        raise RequestError(
            f"host-ports {host.first}-{host.last} and service-ports {service.first}-{service.last} overlap.",
            hint="Give each a range of its own: instances get host ports, listeners get service ports.",
        )


def _parse_path(given: _Given, user_home: Path) -> Path:
    text = str(given.value)
    if not text or "\0" in text or not _is_encodable(text):
        raise given.refusal("is not a path", "Name a directory or file.")
    if text == "~" or text.startswith("~/"):
        return user_home / text[2:]
    return Path(os.path.abspath(given.directory / text))  # noqa: PTH100  (resolve() would follow links)


def _is_encodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _parse_choice(given: _Given, *, choices: Sequence[str]) -> str:
    if given.text in choices:
        return given.text
    from portway.core.suggest import did_you_mean

    raise given.refusal(
        f'cannot be "{given.text}".{did_you_mean(given.text, choices)}',
        f"Choose one of {', '.join(choices)}.",
    )


def _parse_ports(given: _Given) -> PortRange:
    if isinstance(given.value, PortRange):
        return given.value
    hint = "Write the first and the last port, for instance 31000-32000."
    match = re.fullmatch(r"([0-9]{1,9})\s*-\s*([0-9]{1,9})", given.text)
    if match is None:
        raise given.refusal(f'"{given.text}" is not a range of ports', hint)
    first, last = int(match[1]), int(match[2])
    if not 1 <= first <= _PORT_MAX or not 1 <= last <= _PORT_MAX:
        raise given.refusal(f'"{given.text}" is out of range', f"Ports go from 1 to {_PORT_MAX}.")
    if first > last:
        raise given.refusal(f'"{given.text}" is the wrong way round', f"Write {last}-{first}.")
    return PortRange(first=first, last=last)


def _parse_number(given: _Given, *, least: int, most: int) -> int:
    if re.fullmatch(r"[0-9]{1,9}", given.text) and least <= int(given.text) <= most:
        return int(given.text)
    raise given.refusal(
        f'"{given.text}" is not a number it can be', f"Write a number from {least} to {most}."
    )


def _parse_duration(given: _Given) -> float:
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)", given.text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != given.text:
        raise given.refusal(
            f'"{given.text}" is not a duration', "Write seconds (5), or 500ms, 5s, 2m, 1h30m."
        )
    return sum(float(number) * _DURATION_UNITS_S[unit] for number, unit in parts)


def _parse_size(given: _Given) -> int:
    match = re.fullmatch(r"([0-9]{1,15})\s*(b|[kmg]?)(?:i?b)?", given.text.lower())
    size_bytes = int(match[1]) * _SIZE_UNITS[match[2]] if match else 0
    if not 1024 <= size_bytes <= 2**32:
        raise given.refusal(
            f'"{given.text}" is not a size it can be', "Write bytes, or 512k, 16m, 1g; 1k to 4g."
        )
    return size_bytes


def _parse_address(given: _Given) -> str:
    from ipaddress import ip_address

    text = given.text.removeprefix("[").removesuffix("]")
    if not text and given.name == "public_address":
        return ""
    try:
        return str(ip_address(text))
    except ValueError:
        hint = "Write an address of this machine, for instance 127.0.0.1, 192.168.1.10 or ::1."
        raise given.refusal(f'"{given.text}" is not an IP address', hint) from None


def _parse_listen(given: _Given) -> str:
    """ "host:port" with an IPv6 host in brackets, ":port" for every address, "" or "none" for the socket alone."""
    text = given.text
    if text in ("", "none"):
        return ""
    host, port_text = split_listen(text)
    hint = (
        "Write host:port, for instance 127.0.0.1:8080 or [::1]:8080; none = only the unix socket."
    )
    if ":" not in text or not re.fullmatch(r"[0-9]{1,9}", port_text):
        raise given.refusal(f'"{text}" is not an address to listen on', hint)
    if int(port_text) > _PORT_MAX:
        raise given.refusal(f'"{text}" has a port out of range', f"Ports go from 1 to {_PORT_MAX}.")
    if not is_host(host, bracketed=text.startswith("[")):
        raise given.refusal(f'"{text}" is not an address to listen on', hint)
    return text


def _parse_store_url(given: _Given) -> str:
    """The URL is never shown: it may hold a password."""
    from urllib.parse import urlsplit

    hint = "Write postgresql://user:password@host:5432/database, or leave it out to use SQLite."
    try:
        url = urlsplit(given.text)
        _ = url.port  # raises when it is no number
    except ValueError:
        raise given.refusal("is not a URL (is its port a number?)", hint) from None
    if url.scheme not in _STORE_SCHEMES:
        raise given.refusal("is not the URL of a PostgreSQL database", hint)
    if not url.path.strip("/"):
        raise given.refusal("names no database", hint)
    return given.text


def _parse_docker_host(given: _Given) -> str:
    text = given.text
    if text.startswith("/"):
        return f"unix://{text}"
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _DOCKER_SCHEMES or not rest:
        raise given.refusal(
            f'"{text}" is not the address of a Docker daemon',
            "Write unix:///var/run/docker.sock or tcp://host:2375.",
        )
    return text


def _parse_text(given: _Given) -> str:
    if not given.text or "\0" in given.text:
        raise given.refusal("is empty", "Name a program, or leave the setting out.")
    return given.text


def _parse_network(given: _Given) -> str:
    from ipaddress import ip_network

    try:
        return str(ip_network(given.text))
    except ValueError as error:
        raise given.refusal(str(error), "Write a network, like 127.64.0.0/16.") from None


def _parse_matching(given: _Given, *, pattern: str, noun: str, hint: str) -> str:
    if re.fullmatch(pattern, given.text):
        return given.text
    raise given.refusal(f'"{given.text}" is not {noun}', hint)


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _dashed(name: str) -> str:
    return name.replace("_", "-")


_PARSERS: Mapping[str, Callable[[_Given], object]] = {
    "listen": _parse_listen,
    "engine": partial(_parse_choice, choices=_ENGINES),
    "host_ports": _parse_ports,
    "service_ports": _parse_ports,
    "public_address": _parse_address,
    "publish_address": _parse_address,
    "store_url": _parse_store_url,
    "docker_host": _parse_docker_host,
    "docker_at_once": partial(_parse_number, least=1, most=100),
    "haproxy": _parse_text,
    "hold_down_s": _parse_duration,
    "memory_nodes": partial(_parse_number, least=1, most=1000),
    "node_ports": lambda given: node_ranges(given.text, given.refusal),
    "log_format": partial(_parse_choice, choices=("auto", "json", "text")),
    "journal_days": partial(_parse_number, least=1, most=3650),
    "log_level": partial(_parse_choice, choices=("debug", "info", "warning", "error")),
    "access_log": lambda given: _parse_choice(given, choices=("on", "off")) == "on",
    "body_size_max_bytes": _parse_size,
    "aws_verify_signatures": lambda given: _parse_choice(given, choices=("on", "off")) == "on",
    "aws_ephemeral_ports": _parse_ports,
    "aws_region": partial(_parse_matching, pattern=r"[a-z]{2,4}(-[a-z0-9]{1,12}){1,4}", noun="the name of an AWS region", hint="Write one like us-east-1."),
    "aws_account_id": partial(_parse_matching, pattern="[0-9]{12}", noun="an AWS account id", hint="Write twelve digits."),
    "aws_load_balancer_addresses": _parse_network,
    "aws_hosts_file": lambda given: "" if given.text == "none" else given.text,
    "marathon_http_port": partial(_parse_number, least=1, most=_PORT_MAX),
    "marathon_https_port": partial(_parse_number, least=1, most=_PORT_MAX),
    "marathon_env_vars_prefix": partial(_parse_matching, pattern="[A-Za-z_][A-Za-z0-9_]{0,63}", noun="how the name of a variable can begin", hint="Write letters, digits and _, like CUSTOM_."),
    "marathon_groups": lambda given: tuple(g.strip() for g in given.text.split(",") if g.strip()),
}  # fmt: skip
_NAMES = frozenset({*_PARSERS, "home", "marathon_certificates", "token", "token_file", "config"})
