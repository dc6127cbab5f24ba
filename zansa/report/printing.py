"""A page as a PDF, through a headless Chromium that never reaches a network.

A page with Japanese letters is refused where no Japanese font is there: Chromium would print boxes, without an error.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
ALONE = (  # no address can be resolved, and every connection is led to a port where nobody listens
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
)
JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f]")
SECONDS = 300  # after which a browser is taken for hung; a page takes about two


def refuse_printing(japanese: bool) -> None:
    """ValueError, which says what to install, where a PDF cannot be made: no browser, or no font for Japanese."""
    browser()
    if japanese and not has_japanese_font():
        raise ValueError(
            "a PDF with Japanese letters needs a Japanese font, and fontconfig knows none; install one (Debian and "
            "Ubuntu: apt install fontconfig fonts-ipaexfont-gothic, or fonts-noto-cjk), or leave --pdf out"
        )


def browser() -> str:
    """The path of a browser that prints; ValueError where none is there."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise ValueError(
            f"a PDF needs Chromium, and none of {', '.join(BROWSERS)} is there; install it (Debian and Ubuntu: apt "
            "install chromium), or leave --pdf out: the page prints from any browser"
        )
    return found


def has_japanese_font() -> bool:
    """Whether fontconfig, by which a browser chooses its fonts, knows one for Japanese."""
    try:
        done = subprocess.run(["fc-list", ":lang=ja", "family"], capture_output=True, check=False, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0 and bool(done.stdout.strip())


def printed(page: Path) -> Path:
    """Print a page beside itself, page.html to page.pdf; returns the path of the PDF. ValueError where that cannot be
    done."""
    refuse_printing(bool(JAPANESE.search(page.read_text(encoding="utf-8"))))
    pdf = page.with_suffix(".pdf")
    with TemporaryDirectory() as place:
        made = Path(place) / "page.pdf"
        root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's own sandbox cannot be had as root
        words = [browser(), "--headless", *ALONE, *root, "--disable-gpu", "--no-pdf-header-footer"]
        words += [f"--user-data-dir={place}/profile", f"--print-to-pdf={made}", page.resolve().as_uri()]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            raise ValueError(f"{page} could not be printed: {error}") from error
        if not made.exists() or not made.read_bytes().startswith(b"%PDF"):
            raise ValueError(f"{page} could not be printed; {words[0]} said: {done.stderr.strip()[-400:]}")
        shutil.copyfile(made, pdf)
    return pdf
