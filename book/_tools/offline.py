"""`make offline`: the built site as one zip that opens from disk, `index.html` first.

Mathematics, fonts and the search index are files of the site, so nothing has to be fetched.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from book_config import ROOT, version
from bs4 import BeautifulSoup
from build import keys, remembered
from site_pages import built_pages

LEFT_OUT = {".buildinfo", ".nojekyll", "objects.inv"}  # for builders and servers, not for readers
DATE = (1980, 1, 1, 0, 0, 0)  # the same site gives the same zip


def fetched(site: Path) -> list[str]:
    """What the pages would fetch from elsewhere: scripts, styles and pictures, not links."""
    wrong = []
    for path in built_pages(site):
        soup = BeautifulSoup(path.read_text("utf8"), "html.parser")
        sources = [str(tag["src"]) for tag in soup.find_all(src=True)]
        sources += [str(tag["href"]) for tag in soup.select("link[rel~=stylesheet][href]")]
        far = [s for s in sources if s.startswith(("http://", "https://", "//"))]
        wrong += [f"{path.relative_to(site)} fetches {source}" for source in far]
    return wrong


def write_zip(site: Path, target: Path) -> None:
    """Pack the site into `target`, within one folder of the zip's name."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(site.rglob("*")):
            if path.is_file() and path.name not in LEFT_OUT:
                name = Path(target.stem) / path.relative_to(site)
                packed.writestr(
                    zipfile.ZipInfo(name.as_posix(), DATE),
                    path.read_bytes(),
                    zipfile.ZIP_DEFLATED,
                )


def make_offline(root: Path) -> int:
    """Write `_build/seqrl-book-VERSION-offline.zip`; 0 if it needs nothing else to be read."""
    build = root / "_build"
    if remembered(build, "all") != keys(root)["all"]:
        print("The pages are not built, or not as they are now; run `make book` first.")
        return 1
    if wrong := fetched(build / "html"):
        print("\n".join(wrong))
        return 1
    target = build / f"seqrl-book-{version(root)}-offline.zip"
    write_zip(build / "html", target)
    print(f"The book in one zip: {target}  ({target.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(make_offline(ROOT))
