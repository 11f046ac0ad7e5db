"""Images: resolved, pulled, built. Progress comes as short lines for people; the last one carries the image id."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator, Mapping

import msgspec

from portway.core.app import Build
from portway.core.errors import EngineError, EngineErrorKind
from portway.engines.base import Progress
from portway.engines.docker.api import BuildMessage, Image
from portway.engines.docker.client import DockerClient, segment
from portway.engines.docker.errors import DockerRefusal, explain, tidy

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]|[:/@](?=[A-Za-z0-9]))*")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # the builder paints what a step writes to stderr red
_LAST_LINES = 20
_MEGABYTE = 1_000_000


async def inspect_image(client: DockerClient, image: str) -> Image:
    """What is known of a local image; EngineError(kind=IMAGE_MISSING) when it is absent."""
    _check_name(image)
    try:
        answer = await client.call("GET", f"images/{segment(image)}/json")
    except DockerRefusal as refusal:
        if refusal.status == 404:
            raise _missing(image) from refusal
        raise explain(refusal, doing=f"The image {image} could not be looked up") from refusal
    return msgspec.json.decode(answer, type=Image)


async def exposed_ports(client: DockerClient, image: str) -> tuple[int, ...]:
    """The TCP ports the image declares, in order; () when it is absent or declares none."""
    try:
        config = (await inspect_image(client, image)).config
    except EngineError as error:
        if error.kind == EngineErrorKind.IMAGE_MISSING:
            return ()
        raise
    declared = (config.exposed_ports if config else None) or {}
    return tuple(sorted(int(key.split("/")[0]) for key in declared if not key.endswith("/udp")))


async def pull(client: DockerClient, image: str) -> AsyncIterator[Progress]:
    """Fetch an image; one line whenever the sum of its layers' progress reads differently."""
    _check_name(image)
    layers = Layers(image)
    said = ""
    try:
        async with client.stream("POST", "images/create", params=pull_params(image)) as bits:
            async for message in _messages(bits):
                if message.error:
                    raise _not_pulled(image, message.error)
                layers.add(message)
                if layers.text != said:
                    said = layers.text
                    yield Progress(text=said)
    except DockerRefusal as refusal:
        raise _not_pulled(image, refusal.message) from refusal
    found = await inspect_image(client, image)
    yield Progress(text=f"Pulled {image}", image=found.id)


async def build(
    client: DockerClient, wanted: Build, *, tag: str, context: AsyncIterator[bytes]
) -> AsyncIterator[Progress]:
    """Build an image from a tar stream; every line the build writes, as it writes it."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        async with client.stream(
            "POST", "build", params=build_params(wanted, tag=tag), data=context
        ) as bits:
            async for message in _messages(bits):
                if message.error:
                    raise _not_built(tag, message.error, tuple(last))
                for line in _lines_of(message):
                    last.append(line)
                    yield Progress(text=line)
    except DockerRefusal as refusal:
        raise _not_built(tag, refusal.message, tuple(last)) from refusal
    found = await inspect_image(client, tag)
    yield Progress(text=f"Built {tag}", image=found.id)


def pull_params(image: str) -> dict[str, str]:
    """Without a tag Docker would pull every tag; as its own CLI does, "latest" is meant."""
    last = image.rsplit("/", 1)[-1]
    named = ":" in last or "@" in last
    return {"fromImage": image} if named else {"fromImage": image, "tag": "latest"}


def build_params(wanted: Build, *, tag: str) -> dict[str, str]:
    """POST /build; half-made containers of a failed step are removed too."""
    params = {"t": tag, "dockerfile": wanted.dockerfile, "rm": "1", "forcerm": "1"}
    if wanted.args:
        params["buildargs"] = msgspec.json.encode(dict(wanted.args)).decode()
    if wanted.target:
        params["target"] = wanted.target
    return params


class Layers:
    """The progress of a pull's layers, summed up as one line."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._sizes: dict[str, tuple[int, int]] = {}
        self._done: set[str] = set()

    def add(self, message: BuildMessage) -> None:
        """Take in one message of the daemon."""
        match message.status:
            case "Pulling fs layer" | "Waiting" | "Verifying Checksum":
                self._sizes.setdefault(message.id, (0, 0))
            case "Downloading" if message.progress_detail:
                detail = message.progress_detail
                self._sizes[message.id] = (detail.current, detail.total)
            case "Download complete" | "Pull complete" | "Already exists":
                _, total = self._sizes.get(message.id, (0, 0))
                self._sizes[message.id] = (total, total)
                if message.status != "Download complete":
                    self._done.add(message.id)
            case _:
                pass

    @property
    def text(self) -> str:
        """For instance "Pulling nginx: 2 of 5 layers, 13 of 56 MB"."""
        if not self._sizes:
            return f"Pulling {self._image}"
        current = sum(size[0] for size in self._sizes.values()) // _MEGABYTE
        total = sum(size[1] for size in self._sizes.values()) // _MEGABYTE
        amount = f", {current} of {total} MB" if total else ""
        return f"Pulling {self._image}: {len(self._done)} of {len(self._sizes)} layers{amount}"


async def _messages(bits: AsyncIterator[bytes]) -> AsyncIterator[BuildMessage]:
    rest = b""
    async for bit in bits:
        *lines, rest = (rest + bit).split(b"\n")
        for line in lines:
            if line.strip():
                yield msgspec.json.decode(line, type=BuildMessage)
    if rest.strip():
        yield msgspec.json.decode(rest, type=BuildMessage)


def _lines_of(message: BuildMessage) -> tuple[str, ...]:
    if message.status:  # the base image being pulled: its bars are not for a log
        return () if message.progress_detail else (f"{message.id} {message.status}".strip(),)
    lines = (line.rstrip() for line in _COLOUR.sub("", message.stream).splitlines())
    return tuple(line for line in lines if line.strip(" ->"))


def _check_name(image: str) -> None:
    if not _NAME.fullmatch(image):
        raise explain(
            DockerRefusal(400, "invalid reference format"),
            doing="The image cannot be used",
            image=image,
        )


def _missing(image: str) -> EngineError:
    return EngineError(
        f"The image {image} is not on this machine.",
        hint=f"Pull it (`docker pull {image}`), build it, or correct its name.",
        kind=EngineErrorKind.IMAGE_MISSING,
        retryable=False,
    )


_PULL_REASONS: Mapping[str, tuple[str, str]] = {
    r"pull access denied|repository does not exist|unauthorized|denied": (
        "it does not exist in the registry, or needs a login",
        "Check its name; for a private one run `docker login` and `docker pull` on this machine first.",
    ),
    r"manifest unknown|manifest for .* not found|not found": (
        "the registry has no such name or tag",
        "Check the name and the tag.",
    ),
    r"no such host|dial tcp|timeout|connection refused|Temporary failure|network is unreachable|TLS": (
        "the registry cannot be reached",
        "Check this machine's network and name server, or build or load the image here (`docker load`).",
    ),
    r"no space left on device": (
        "the disk that Docker uses is full",
        "`docker system df` shows what fills it; `docker system prune` removes what is unused.",
    ),
    r"no matching manifest": (
        "it is not made for this machine's kind of processor",
        "Choose a tag that is, or build it here.",
    ),
}


def _not_pulled(image: str, message: str) -> EngineError:
    reasons = (said for pattern, said in _PULL_REASONS.items() if re.search(pattern, message))
    reason, hint = next(reasons, ("Docker could not fetch it", "Try `docker pull` by hand."))
    unreachable = reason == "the registry cannot be reached"
    return EngineError(
        f'The image {image} could not be pulled: {reason}. Docker said "{tidy(message)}".',
        hint=hint,
        kind=EngineErrorKind.IMAGE_MISSING,
        retryable=unreachable,
    )


def _not_built(tag: str, message: str, last_lines: tuple[str, ...]) -> EngineError:
    reason = _build_reason(message)
    output = "".join(f"\n    {line}" for line in last_lines)
    after = f" The build wrote last:{output}" if output else ""
    return EngineError(
        f"The image {tag} could not be built: {reason}.{after}",
        hint="Correct the Dockerfile or what it copies; nothing that runs was touched.",
        kind=EngineErrorKind.BUILD_FAILED,
        retryable="no space left" in message,
    )


def _build_reason(message: str) -> str:
    if match := re.search(r"The command '(.*)' returned a non-zero code: (\d+)", message):
        return f"the step {match[1]!r} failed with exit code {match[2]}"
    if "Cannot locate specified Dockerfile" in message:
        name = message.rpartition(":")[2].strip()
        return f"there is no {name} in the build context"
    if "no space left on device" in message:
        return "the disk that Docker uses is full"
    if re.search(r"/v2/|pull access denied|manifest", message):
        why = next((why for p, (why, _) in _PULL_REASONS.items() if re.search(p, message)), "")
        base = f"an image it begins with (FROM) cannot be fetched{': ' * bool(why)}{why}"
        return f'{base}. Docker said "{tidy(message)}"'
    return f'Docker said "{tidy(message)}"'
