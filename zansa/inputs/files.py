"""Which files of a folder are images, which are passed over, and what to say of these."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

EXTENSIONS = frozenset(
    {
        ".png",
        ".apng",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".webp",
        ".gif",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".avif",
        ".heic",
        ".heif",
        ".hif",
        ".jp2",
        ".j2k",
        ".jpf",
        ".jpx",
    }
)
# how files without an ending begin that are images all the same; raw files of cameras, which begin as TIFF, have one
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"BM", b"P4\n", b"P5\n", b"P6\n")
# what systems leave beside people's files: recycle bins, thumbnails, snapshots
SYSTEM = frozenset(
    {
        "#recycle",
        "#snapshot",
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "@tmp",
        "$recycle.bin",
        "recycler",
        "lost+found",
        "lost.dir",
        "system volume information",
    }
)
SHOWN = 8  # kinds of files that are named
NAMED = 5  # files that are not there
# hidden folders that programs keep, in which nobody looks for data
PROGRAMS = frozenset({".git", ".svn", ".hg", ".cache", ".venv", ".thumbnails", ".ipynb_checkpoints", ".trash"})
NO_DATA = frozenset({"__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class Found:
    """What lies in folders: the images, and what was passed over."""

    images: tuple[Path, ...] = ()  # paths, in a fixed order
    others: tuple[str, ...] = ()  # of each file that is no image: its ending, or what else it is
    system: tuple[str, ...] = ()  # of each folder of the system, and of each hidden one with images: its name
    locked: tuple[str, ...] = ()  # of each folder that cannot be read: its path and the reason

    def __add__(self, other: "Found") -> "Found":
        return Found(
            self.images + other.images,
            self.others + other.others,
            self.system + other.system,
            self.locked + other.locked,
        )

    def told(self) -> list[str]:
        """Sentences on what was passed over, counted by ending and reason."""
        return [*map(_cannot_enter, self.locked), *_counted(self.others, self.system)]


def survey(folder: Path, root: Path | None = None) -> Found:
    """All files below a folder; paths in sentences start at `root` (default: the folder)."""
    images, others = [], []
    system, locked = [], []  # type: tuple[list[str], list[str]]

    def fail(error: OSError) -> None:
        where = Path(os.fsdecode(error.filename))
        inside = where.relative_to(root or folder) if where.is_relative_to(root or folder) else where
        locked.append(f"{printable(inside.as_posix())}: {error.strerror}")

    for path in walk(folder, fail, system):
        kind = _other(path)
        if kind is None:
            images.append(path)
        else:
            others.append(kind)
    return Found(tuple(images), tuple(others), tuple(system), tuple(locked))


def survey_all(paths: Sequence[str | Path]) -> Found:
    """The files as they are, and for a folder all that lies below it; ValueError for a folder without an image."""
    found = Found()
    for path in map(Path, paths):
        if path.is_dir():
            below = survey(path)
            if not below.images:
                raise ValueError(_no_images(path, below))
            found += below
        else:
            found += Found((path,))
    return found


def refuse_missing(paths: Sequence[str | Path]) -> None:
    """ValueError for files and folders that were named and are not there."""
    missing = [printable(str(path)) for path in paths if not os.path.lexists(path)]
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise ValueError(
            f"there is no {', '.join(missing[:NAMED])}{more}; name files or folders that are there, or leave it out"
        )


def image_files(paths: Sequence[str | Path]) -> list[Path]:
    """The images of survey_all."""
    return list(survey_all(paths).images)


def walk(
    folder: Path, fail: Callable[[OSError], None] | None = None, system: list[str] | None = None
) -> Iterator[Path]:
    """Every visible file below, in a fixed order; links to folders are followed, each folder once, and one that is
    reached without a link where it stands.

    `fail` is called with the error of each folder that cannot be read; names of folders that are passed over, those of
    the system and hidden ones with images, are added to `system`.
    """
    seen: set[str] = set()
    top = os.path.realpath(folder)
    for where, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        real = os.path.realpath(where)
        if system is not None:
            system += sorted(name for name in folders if name.casefold() in SYSTEM or _hides(Path(where, name)))
        folders[:] = (
            []
            if real in seen
            else sorted(
                name for name in folders if not is_hidden(name) and not _leads_back(os.path.join(where, name), top)
            )
        )
        yield from (Path(where, name) for name in sorted(files) if real not in seen and not is_hidden(name))
        seen.add(real)


def _leads_back(folder: str, top: str) -> bool:
    """Whether a folder is a link to one that stands below `top` itself, and is looked into there: as a part of another
    folder its images would get that folder's class."""
    if not os.path.islink(folder):
        return False
    real = Path(os.path.realpath(folder))
    return real.is_relative_to(top) and not any(map(is_hidden, real.relative_to(top).parts))


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is no part of the data."""
    return name.startswith(".") or name.casefold() in SYSTEM | NO_DATA


def is_image_name(name: str) -> bool:
    """Whether a name has an image's ending."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def at_home(text: str) -> str:
    """What was typed, with the user's folder for ~ at the beginning of a path, which no shell expands in quotes, behind
    an equals sign or in a file."""
    name, equals, path = text.partition("=") if text.startswith("--") else ("", "", text)
    return name + equals + (os.path.expanduser(path) if path.startswith("~/") else path)


def printable(text: str) -> str:
    """A file name for people and JSON: bytes that are no UTF-8 become \\xNN."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _other(path: Path) -> str | None:
    """What a file is that is no image; None for an image."""
    ending = path.suffix.lower()
    if not ending:
        return None if _begins_as_image(path) else "no ending"
    if ending not in EXTENSIONS:
        return printable(ending)
    # reading a pipe would never end; a broken link is none, and told when it is read
    return "a pipe or a device" if path.exists() and not path.is_file() else None


def _hides(folder: Path) -> bool:
    """Whether a folder is hidden, and has images or folders with images in it."""
    if not folder.name.startswith(".") or folder.name.casefold() in PROGRAMS:
        return False
    return any(is_image_name(name) for _, _, names in os.walk(folder) for name in names)


def _begins_as_image(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head.startswith(SIGNATURES) or (head[:4], head[8:]) == (b"RIFF", b"WEBP") or head[4:8] == b"ftyp"


def _counted(others: Sequence[str], system: Sequence[str]) -> list[str]:
    sentences = []
    if others:
        kinds = ", ".join(f"{count} × {kind}" for kind, count in Counter(sorted(others)).most_common(SHOWN))
        files = f"{len(others)} files are" if len(others) > 1 else "1 file is"
        more = len(set(others)) - SHOWN
        rest = f" and {more} more kinds" if more > 0 else ""
        sentences.append(f"{files} no image by the ending and passed over: {kinds}{rest}")
    if system:
        kinds = ", ".join(f"{count} × {printable(name)}" for name, count in Counter(system).most_common(8))
        sentences.append(f"hidden folders and those of the operating system were passed over: {kinds}")
    return sentences


def _cannot_enter(text: str) -> str:
    return f"a folder cannot be read and was left out: {text}"


def _no_images(folder: Path, found: Found) -> str:
    told = "".join(f"; {sentence}" for sentence in found.told())
    return f"no images in {printable(str(folder))}{told}; looked for {', '.join(sorted(EXTENSIONS))}"
