"""The loader of settings: where they come from, what is refused, and with which sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portway.config import Config, load_config
from portway.core.errors import RequestError
from portway.core.ports import PortRange

SECRET = "canary-0123456789abcdef"


def load(
    flags: dict[str, object] | None = None,
    environ: dict[str, str] | None = None,
    *,
    files: dict[str, str] | None = None,
    is_root: bool = True,
    home_dir: str = "/home/ada",
) -> Config:
    def read_text(path: Path) -> str:
        if str(path) not in (files or {}):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return (files or {})[str(path)]

    return load_config(
        flags or {}, environ or {}, read_text=read_text, is_root=is_root, home_dir=home_dir
    )


def load_file(text: str, **more: Any) -> Config:
    return load({"config": "/etc/portway.toml"}, files={"/etc/portway.toml": text, **more})


def refusal(*given: Any, **more: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        load(*given, **more)
    assert caught.value.hint, "every refusal says what to do"
    return caught.value


def test_without_anything_given_every_setting_has_its_default() -> None:
    assert load() == Config(home=Path("/var/lib/portway"))


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default() -> None:
    files = {"/c.toml": 'memory-nodes = 4\nengine = "memory"\nlog-level = "error"\nhaproxy = "h"'}
    environ = {
        "PORTWAY_CONFIG": "/c.toml",
        "PORTWAY_ENGINE": "process",
        "PORTWAY_LOG_LEVEL": "debug",
    }
    config = load({"log_level": "warning"}, environ, files=files)
    assert (config.log_level, config.engine, config.memory_nodes, config.hold_down_s) == (
        "warning",
        "process",
        4,
        5.0,
    )


def test_a_flag_that_is_none_was_not_given() -> None:
    assert load({"engine": None}, {"PORTWAY_ENGINE": "memory"}).engine == "memory"


@pytest.mark.parametrize("flag", ["host_ports", "host-ports", "--host-ports"])
def test_a_flag_is_known_by_its_name_however_it_is_dashed(flag: str) -> None:
    assert load({flag: "40000-40100"}).host_ports == PortRange(first=40000, last=40100)


@pytest.mark.parametrize("key", ["host-ports", "host_ports"])
def test_a_key_of_the_file_may_have_dashes_or_underscores(key: str) -> None:
    assert load_file(f'{key} = "40000-40100"').host_ports == PortRange(first=40000, last=40100)


def test_every_setting_can_be_given_as_flag_variable_and_file_key() -> None:
    given = {
        "home": ("/srv/p", Path("/srv/p")),
        "listen": ("127.0.0.1:9", "127.0.0.1:9"),
        "engine": ("memory", "memory"),
        "host_ports": ("5-6", PortRange(first=5, last=6)),
        "service_ports": ("7-8", PortRange(first=7, last=8)),
        "public_address": ("10.0.0.1", "10.0.0.1"),
        "publish_address": ("10.0.0.2", "10.0.0.2"),
        "store_url": ("postgres://h/d", "postgres://h/d"),
        "token": (SECRET, SECRET),
        "docker_host": ("tcp://h:1", "tcp://h:1"),
        "docker_at_once": ("8", 8),
        "haproxy": ("/opt/haproxy", "/opt/haproxy"),
        "hold_down_s": ("1m", 60.0),
        "memory_nodes": ("3", 3),
        "node_ports": (
            "a=5-6, b=7-8",
            {"a": PortRange(first=5, last=6), "b": PortRange(first=7, last=8)},
        ),
        "log_level": ("debug", "debug"),
        "log_format": ("text", "text"),
        "journal_days": ("7", 7),
        "access_log": ("on", True),
        "body_size_max_bytes": ("1m", 2**20),
        "aws_verify_signatures": ("off", False),
        "aws_region": ("eu-west-1", "eu-west-1"),
        "aws_ephemeral_ports": ("50000-50999", PortRange(first=50000, last=50999)),
        "aws_account_id": ("123456789012", "123456789012"),
        "aws_load_balancer_addresses": ("127.65.0.0/24", "127.65.0.0/24"),
        "aws_hosts_file": ("/srv/hosts", "/srv/hosts"),
        "marathon_http_port": ("8080", 8080),
        "marathon_https_port": ("8443", 8443),
        "marathon_groups": ("external, public", ("external", "public")),
        "marathon_env_vars_prefix": ("CUSTOM_", "CUSTOM_"),
        "marathon_certificates": ("/srv/certificates", Path("/srv/certificates")),
    }
    settings = set(Config.__dataclass_fields__) - {"warnings"}
    assert set(given) == settings, "a new setting must be loadable"
    for name, (text, value) in given.items():
        assert getattr(load({name: text}), name) == value
        assert getattr(load({}, {f"PORTWAY_{name.upper()}": text}), name) == value
        assert getattr(load_file(f'{name} = "{text}"'), name) == value


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load({}, {"PORTWAY_ENGINE": "", "PORTWAY_TOKEN": " "}) == load()


def test_the_default_home_of_a_user_is_in_their_state_directory() -> None:
    assert load(is_root=False).home == Path("/home/ada/.local/state/portway")


def test_xdg_state_home_moves_the_default_home_of_a_user_but_not_of_root() -> None:
    environ = {"XDG_STATE_HOME": "/s"}
    assert load({}, environ, is_root=False).home == Path("/s/portway")
    assert load({}, environ, is_root=True).home == Path("/var/lib/portway")


def test_a_relative_xdg_state_home_is_ignored() -> None:
    home = load({}, {"XDG_STATE_HOME": "state"}, is_root=False).home
    assert home == Path("/home/ada/.local/state/portway")


def test_a_relative_home_begins_where_portway_was_called() -> None:
    assert load({"home": "here"}).home == Path.cwd() / "here"


def test_a_relative_path_in_the_file_begins_where_the_file_is() -> None:
    assert load_file('home = "here"').home == Path("/etc/here")


def test_a_tilde_is_the_users_home() -> None:
    assert load({}, {"PORTWAY_HOME": "~/p"}).home == Path("/home/ada/p")
    assert load({"home": "~"}).home == Path("/home/ada")


def test_a_home_whose_socket_path_just_fits_is_taken_and_one_byte_more_is_refused() -> None:
    fits = "/" + "h" * (107 - len("//portway.sock"))
    assert len(bytes(load({"home": fits}).socket_path)) == 107
    error = refusal({"home": fits + "h"})
    assert "108 bytes" in error.message
    assert "--home" in error.hint


def test_the_socket_path_is_measured_in_bytes() -> None:
    assert "bytes" in refusal({"home": "/" + "ü" * 60}).message


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("engine", "dcoker", 'Did you mean "docker"?'),
        ("engine", "kubernetes", 'cannot be "kubernetes"'),
        ("log_level", "warn", 'Did you mean "warning"?'),
        ("host_ports", "31000", "not a range"),
        ("host_ports", "a-b", "not a range"),
        ("host_ports", "-1-5", "not a range"),
        ("host_ports", "0-5", "out of range"),
        ("host_ports", "31000-65536", "out of range"),
        ("host_ports", "32000-31000", "wrong way round"),
        ("service_ports", "٣-٤", "not a range"),
        ("public_address", "example.com", "not an IP address"),
        ("publish_address", "127.0.0.256", "not an IP address"),
        ("listen", "8080", "not an address to listen on"),
        ("listen", "127.0.0.1:", "not an address to listen on"),
        ("listen", "127.0.0.1:http", "not an address to listen on"),
        ("listen", "127.0.0.1:65536", "out of range"),
        ("listen", "127.0.0.300:80", "not an address to listen on"),
        ("listen", "::1:8080", "not an address to listen on"),
        ("listen", "[127.0.0.1]:80", "not an address to listen on"),
        ("listen", "[]:80", "not an address to listen on"),
        ("listen", "http://127.0.0.1:80", "not an address to listen on"),
        ("hold_down_s", "soon", "not a duration"),
        ("hold_down_s", "-5", "not a duration"),
        ("hold_down_s", "nan", "not a duration"),
        ("hold_down_s", "5 minutes", "not a duration"),
        ("docker_at_once", "0", "number"),
        ("memory_nodes", "0", "number"),
        ("memory_nodes", "1.5", "number"),
        ("memory_nodes", "1001", "number"),
        ("node_ports", "31000-31499", "which node has which ports"),
        ("node_ports", "a=6-5", "which node has which ports"),
        ("node_ports", "a=5-6,a=7-8", "names a twice"),
        ("body_size_max_bytes", "10", "size"),
        ("body_size_max_bytes", "5g", "size"),
        ("body_size_max_bytes", "much", "size"),
        ("docker_host", "ssh://root@host", "Docker daemon"),
        ("docker_host", "unix://", "Docker daemon"),
        ("store_url", "mysql://h/d", "PostgreSQL"),
        ("store_url", "sqlite:///x.db", "PostgreSQL"),
        ("store_url", "postgres://host", "names no database"),
        ("store_url", "postgres://host:port/db", "port"),
        ("home", "a\0b", "not a path"),
        ("token", "two words", "HTTP cannot carry"),
        ("token", "naïve", "HTTP cannot carry"),
    ],
)
def test_a_wrong_value_is_refused_naming_where_it_was_given(
    name: str, text: str, says: str
) -> None:
    flag = refusal({name: text})
    assert flag.message.startswith(f"--{name.replace('_', '-')} ")
    assert says in flag.message
    variable = f"PORTWAY_{name.upper()}"
    assert refusal({}, {variable: text}).message.startswith(variable)
    assert flag.exit_code == 2


def test_a_wrong_value_of_the_file_is_refused_naming_key_and_file() -> None:
    with pytest.raises(RequestError, match='"host-ports" in /etc/portway.toml "x" is not a range'):
        load_file('host-ports = "x"')


def test_an_unknown_key_of_the_file_is_refused_with_its_likely_meaning() -> None:
    with pytest.raises(RequestError) as caught:
        load_file('host-prots = "1-2"')
    assert '"host-prots" in /etc/portway.toml is not a setting.' in caught.value.message
    assert 'Did you mean "host-ports"?' in caught.value.message


def test_a_table_in_the_file_is_refused() -> None:
    with pytest.raises(RequestError, match='"server" in /etc/portway.toml is not a setting'):
        load_file("[server]\nengine = 'docker'")


def test_a_key_given_in_both_spellings_is_refused() -> None:
    with pytest.raises(RequestError, match="given twice"):
        load_file('host-ports = "1-2"\nhost_ports = "1-2"')


@pytest.mark.parametrize("value", ["true", "[1, 2]", "1979-05-27", "{a = 1}"])
def test_a_value_of_the_file_that_is_no_text_or_number_is_refused(value: str) -> None:
    with pytest.raises(RequestError, match="must be a text or a number"):
        load_file(f"memory-nodes = {value}")


def test_numbers_of_the_file_need_no_quotes() -> None:
    config = load_file("memory-nodes = 3\nhold-down-s = 2.5\nbody-size-max-bytes = 4096")
    assert (config.memory_nodes, config.hold_down_s, config.body_size_max_bytes) == (3, 2.5, 4096)


def test_broken_toml_is_refused_with_its_line() -> None:
    with pytest.raises(RequestError, match=r"/etc/portway.toml is not valid TOML: .*line 2"):
        load_file('engine = "docker"\nlisten = oops')
    with pytest.raises(RequestError, match="is not valid TOML"):
        load_file("listen = " + "[" * 2000)


def test_a_config_file_that_is_not_there_is_refused() -> None:
    error = refusal({}, {"PORTWAY_CONFIG": "/nowhere.toml"})
    assert error.message.startswith("PORTWAY_CONFIG names /nowhere.toml, which cannot be read")


def test_a_config_file_cannot_name_another_one() -> None:
    with pytest.raises(RequestError, match='"config" in .* is not a setting'):
        load_file('config = "/other.toml"')


@pytest.mark.parametrize(
    ("host", "service"),
    [("10000-10000", "10000-20000"), ("1-65535", "5-6"), ("5-10", "10-15"), ("10-15", "5-10")],
)
def test_overlapping_ranges_are_refused(host: str, service: str) -> None:
    error = refusal({"host_ports": host, "service_ports": service})
    assert f"host-ports {host} and service-ports {service} overlap" in error.message


def test_ranges_that_only_touch_are_taken() -> None:
    assert load({"host_ports": "5-10", "service_ports": "11-15"}).host_ports.last == 10


def test_an_unknown_variable_is_warned_of_with_its_likely_meaning() -> None:
    (warning,) = load({}, {"PORTWAY_HOST_PORT": "x", "OTHER": "y"}).warnings
    assert warning.startswith("PORTWAY_HOST_PORT is set but is no setting of portway.")
    assert "PORTWAY_HOST_PORTS" in warning


def test_variables_that_other_parts_of_portway_use_are_not_warned_of() -> None:
    assert load({}, {"PORTWAY_STACK": "httpd", "PORTWAY_INSTANCE": "web.1.7"}).warnings == ()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5), ("0", 0), ("0.5", 0.5), ("500ms", 0.5), ("5s", 5), ("2m", 120), ("1h30m", 5400)],
)
def test_a_duration_is_seconds_or_has_units(text: str, seconds: float) -> None:
    assert load({"hold_down_s": text}).hold_down_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("4096", 4096), ("4096b", 4096), ("16m", 2**24), ("16MiB", 2**24), ("1 GB", 2**30)],
)
def test_a_size_is_bytes_or_has_a_unit(text: str, size_bytes: int) -> None:
    assert load({"body_size_max_bytes": text}).body_size_max_bytes == size_bytes


@pytest.mark.parametrize("listen", ["none", ""])
def test_listening_on_the_unix_socket_alone_can_be_asked_for(listen: str) -> None:
    assert load({"listen": listen}).listen == ""
    assert load({}, {"PORTWAY_LISTEN": listen}).listen == ""


def test_a_bare_docker_socket_path_is_understood() -> None:
    assert load({"docker_host": "/run/d.sock"}).docker_host == "unix:///run/d.sock"


def test_addresses_are_kept_in_their_shortest_form() -> None:
    assert load({"public_address": "[0:0::1]"}).public_address == "::1"


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:8080", ":8080", "[::]:8080", "192.168.1.5:80", "[fe80::1]:80", "box:80"]
)
def test_listening_beyond_loopback_without_a_token_is_refused_with_the_way_to_set_one(
    listen: str,
) -> None:
    error = refusal({}, {"PORTWAY_LISTEN": listen})
    assert error.message.startswith(f"PORTWAY_LISTEN {listen} ")
    assert "PORTWAY_TOKEN" in error.hint
    assert "--token-file" in error.hint
    assert load({"listen": listen}, {"PORTWAY_TOKEN": SECRET}).listen == listen


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:80", "127.5.5.5:80", "[::1]:80", "localhost:80", "[::ffff:127.0.0.1]:80"]
)
def test_listening_on_loopback_needs_no_token(listen: str) -> None:
    assert load({"listen": listen}).listen == listen


def test_a_token_can_be_kept_in_a_file() -> None:
    files = {"/etc/token": f"{SECRET}\n"}
    assert load({"token_file": "/etc/token"}, files=files).token == SECRET
    assert load({}, {"PORTWAY_TOKEN_FILE": "/etc/token"}, files=files).token == SECRET
    assert load_file('token-file = "token"', **files).token == SECRET


def test_a_token_file_flag_beats_a_token_variable() -> None:
    config = load({"token_file": "/t"}, {"PORTWAY_TOKEN": "b" * 32}, files={"/t": SECRET})
    assert config.token == SECRET


def test_a_token_and_its_file_at_once_are_refused() -> None:
    error = refusal({}, {"PORTWAY_TOKEN": SECRET, "PORTWAY_TOKEN_FILE": "/t"})
    assert error.message == "PORTWAY_TOKEN and PORTWAY_TOKEN_FILE are both given."


def test_an_empty_or_missing_token_file_is_refused() -> None:
    assert "holds no token" in refusal({"token_file": "/t"}, files={"/t": "\n"}).message
    assert "cannot be read" in refusal({"token_file": "/t"}).message


def test_a_short_token_is_warned_of_without_showing_it() -> None:
    (warning,) = load({}, {"PORTWAY_TOKEN": "hunter2"}).warnings
    assert "7 characters" in warning
    assert "hunter2" not in warning


def test_a_token_on_the_command_line_is_warned_of() -> None:
    (warning,) = load({"token": SECRET}).warnings
    assert "--token-file" in warning
    assert SECRET not in warning


def test_no_secret_is_ever_in_the_repr() -> None:
    config = load({"store_url": f"postgres://u:{SECRET}@h/d"}, {"PORTWAY_TOKEN": SECRET})
    assert SECRET not in repr(config)


@pytest.mark.parametrize(
    "url", [f"mysql://u:{SECRET}@h/d", f"postgres://u:{SECRET}@h", f"postgres://u:{SECRET}@h:x/d"]
)
def test_a_wrong_store_url_is_refused_without_showing_its_password(url: str) -> None:
    assert SECRET not in str(refusal({"store_url": url}))


def test_a_token_with_a_blank_is_refused_without_showing_it() -> None:
    assert SECRET not in str(refusal({"token": f"{SECRET} x"}))


@given(
    name=st.sampled_from(sorted(set(Config.__dataclass_fields__) - {"warnings"})),
    text=st.text(max_size=30),
)
@example(name="store_url", text="postgres://[")
@example(name="listen", text="[::1%eth0]:80")
@example(name="home", text="\ud800")
def test_no_text_makes_the_loader_fail_with_anything_but_a_sentence(name: str, text: str) -> None:
    try:
        config = load({name: text})
    except RequestError as error:
        assert error.message.strip()  # noqa: PT017  (both outcomes are fine)
    else:
        assert isinstance(config, Config)


def test_addresses_of_load_balancers_are_a_network():
    assert refusal({"aws_load_balancer_addresses": "127.64.0.1/16"}).hint
    assert load({"aws_hosts_file": "none"}).aws_hosts_file == ""


def test_virtual_hosts_have_one_port_for_http_and_another_for_https() -> None:
    told = str(refusal({"marathon_http_port": "443"}))
    assert "marathon-http-port and marathon-https-port are both 443" in told
