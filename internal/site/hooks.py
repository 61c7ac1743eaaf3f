"""Hooks of mkdocs: what the pages of docs link to outside of docs becomes a part of the site.

In the site, what is below docs stands at the root, and all else where it is in the repository.
"""

import os
import re

from mkdocs.structure.files import File

ITEM = re.compile(r" *(?:[-*]|\d+\.) +")
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")


def within(page, target):
    """The path from the root of the repository to what a page links to; None for another site's."""
    if ":" in target or target.startswith(("/", "<")):
        return None
    return os.path.normpath(os.path.join(os.path.dirname(page), target))


def in_repository(src):
    """Where the file of a page is, seen from the root of the repository."""
    inside = os.path.join("docs", src)
    return inside if os.path.exists(inside) else src


def in_site(path):
    """Where a file of the repository is in the site."""
    return os.path.relpath(path, "docs") if path.startswith("docs" + os.sep) else path


def file_of(path):
    """The file that stands for a path: of a folder its README, if it has one."""
    readme = os.path.join(path, "README.md")
    return readme if os.path.exists(readme) else path


def indented(markdown):
    """The same with what belongs to an item of a list indented by four, as Python-Markdown wants it."""
    lines, columns, fence = [], [], None
    for line in markdown.split("\n"):
        text = line.lstrip(" ")
        column = len(line) - len(text)
        if fence is None and text:
            while columns and column < columns[-1]:
                columns.pop()
        shift = 4 * len(columns) - columns[-1] if columns else 0
        if text:
            line = " " * max(column + shift, 0) + text
        if text.startswith("```"):
            fence = None if fence else text
        elif fence is None and ITEM.match(line):
            columns.append(column + len(ITEM.match(text)[0]))
        lines.append(line)
    return "\n".join(lines)


def on_files(files, config):
    root = os.path.dirname(config["config_file_path"])
    pending = [in_repository(f.src_path) for f in files.documentation_pages()]
    while pending:
        page = pending.pop()
        with open(page, encoding="utf-8") as source:
            targets = [within(page, found[1]) for found in LINK.findall(source.read())]
        for path in map(file_of, filter(None, targets)):
            if path.startswith("docs" + os.sep) or not os.path.isfile(path) or files.get_file_from_path(path):
                continue
            files.append(File(path, root, config["site_dir"], config["use_directory_urls"]))
            if path.endswith(".md"):
                pending.append(path)
    return files


def on_page_markdown(markdown, page, config, files):
    here = in_repository(page.file.src_path)

    def moved(found):
        path = within(here, found[2])
        if path is None:
            return found[0]
        path = in_site(file_of(path))
        if not files.get_file_from_path(path):
            return found[0]  # a folder, or nothing: mkdocs says so where it is a mistake
        return found[1] + os.path.relpath(path, os.path.dirname(page.file.src_path) or ".") + found[3]

    return indented(LINK.sub(moved, markdown))
