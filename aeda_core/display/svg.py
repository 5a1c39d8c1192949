"""matplotlib's SVG as part of a page: in the page's ink and letters, with ids of its own, and as short as can be."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

NUMBER = re.compile(r"-?\d+\.\d+")
REFERENCE = re.compile(r"(?<=url\(#)[^)]+|(?<=^#).+")


def for_page(svg: str, name: str, alt: str, ink: str) -> str:
    """`svg` for inside a page, which brings the font and, in place of the colour `ink`, its own.

    name: what its ids begin with, which no other figure's do; `alt`: what stands for it
    """
    drawn = ElementTree.fromstring(svg)
    definitions = Element("defs")
    content = list(_runs(_kept(drawn, ink, definitions), ("clip-path", "style")))
    told = {"role": "img", "aria-label": alt, "viewBox": drawn.attrib["viewBox"], "xmlns": "http://www.w3.org/2000/svg"}
    told |= {"stroke-linejoin": "round", "stroke-linecap": "butt", "fill": "currentColor"}
    page = Element("svg", told)
    page.extend([definitions, *content])
    _rename(page, f"{name}-{hashlib.sha256(ElementTree.tostring(page)).hexdigest()[:6]}")
    return ElementTree.tostring(page, encoding="unicode").replace("<g", "\n<g")


def borrowing(svg: str, other: str) -> str:
    """`svg` with each image that `other`, on the same page, holds too taken from there."""
    held = {data: name for name, data in re.findall(r'<image id="([^"]*)" href="([^"]*)"', other)}

    def borrowed(match: re.Match[str]) -> str:
        return f'<use href="#{held[match[1]]}" />' if match[1] in held else match[0]

    return re.sub(r'<image id="[^"]*" href="([^"]*)"[^>]*>', borrowed, svg)


def _kept(node: Element, ink: str, definitions: Element) -> list[Element]:
    """The children of `node` that draw something; those of a group without a meaning stand in its place."""
    kept = []
    for child in node:
        tag = child.tag.rpartition("}")[2]
        if tag in ("metadata", "style"):
            continue
        slim = Element(tag, _attributes(child, ink))
        if tag in ("text", "tspan"):
            slim.text = child.text
        children = _kept(child, ink, definitions)
        if tag == "g":
            title = _named(slim)
            children = [*title, *_runs(children, ("clip-path", "style"))] if children else []
        slim.extend(children)
        if tag == "defs":
            definitions.extend(children)
        elif tag == "g" and not slim.attrib.keys() - {"id"}:
            kept += children
        elif tag == "image":
            kept.append(_placed(slim))
        elif (tag != "g" or children) and not _unseen(slim):
            kept.append(slim)
    return kept


def _attributes(node: Element, ink: str) -> dict[str, str]:
    """Those of a node, with numbers to a hundredth of a point, which nobody sees."""
    own = {name.rpartition("}")[2]: value for name, value in node.attrib.items()}
    for name in own.keys() & {"d", "x", "y", "width", "height"}:
        own[name] = NUMBER.sub(_rounded, own[name])
    if "d" in own:
        own["d"] = re.sub(r"\s*([A-Za-z])\s*", r"\1", re.sub(r"\s+", " ", own["d"]))
    if "style" in own:
        said = (part.strip() for part in own.pop("style").replace(ink, "currentColor").split(";"))
        if style := ";".join(part.replace(": ", ":") for part in said if not part.startswith("font-family")):
            own["style"] = style
    if own.get("transform", "").startswith("rotate(-0 "):
        del own["transform"]
    return own


def _rounded(match: re.Match[str]) -> str:
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".").replace("-0.", "-.").removeprefix("0") or "0"


def _named(group: Element) -> list[Element]:
    """What the gid of a group means, as attributes and a title: "tip:…" what is told of a mark, "of:…" what belongs to
    one (see marks.js, and browsers show a title where one points), "frame:…" a frame of a slider."""
    kind, _, rest = group.get("id", "").partition(":")
    if kind == "frame":
        group.attrib = {"data-frame": rest}
    elif kind in ("tip", "of"):
        group.attrib = {"data-of": rest.partition(":")[0] if kind == "tip" else rest}
    if kind != "tip":
        return []
    title = Element("title")
    title.text = rest
    return [title]


def _placed(image: Element) -> Element:
    """An image in a group that has its place, so that another figure can have it elsewhere (see `borrowing`)."""
    group = Element("g", {"transform": image.attrib.pop("transform")})
    data = "".join(image.attrib.pop("href").split())
    image.attrib = {"id": image.attrib.pop("id"), "href": data, **image.attrib}
    group.append(image)
    return group


def _unseen(node: Element) -> bool:
    """Whether a path has neither a filling nor a line."""
    style = node.get("style", "")
    return node.tag == "path" and "fill:none" in style and "stroke:" not in style


def _runs(nodes: Iterable[Element], names: tuple[str, ...]) -> Iterator[Element]:
    """The nodes, with what several in a row have in common said once, by a group around them."""
    if not names:
        yield from nodes
        return
    for shared, run in itertools.groupby(nodes, lambda node: node.get(names[0])):
        alike = list(run)
        # an opacity of its own is that of each, and not of all together
        if shared is None or len(alike) == 1 or re.search(r"(?<!-)opacity", shared):
            yield from _runs(alike, names[1:])
            continue
        group = Element("g", {names[0]: shared})
        for node in alike:
            del node.attrib[names[0]]
        bare = itertools.chain.from_iterable(
            list(node) if node.tag == "g" and not node.attrib.keys() - {"id"} else [node] for node in alike
        )
        group.extend(_runs(bare, names[1:]))
        yield group


def _rename(page: Element, prefix: str) -> None:
    """Short ids, and only those that something refers to or that another figure may."""
    named = {found for node in page.iter() for value in node.attrib.values() for found in REFERENCE.findall(value)}
    used = [node for node in page.iter() if node.get("id") in named or node.tag == "image"]
    short = {node.attrib["id"]: f"{prefix}-{i}" for i, node in enumerate(used)}
    for node in page.iter():
        if (own := node.attrib.pop("id", None)) in short:
            node.attrib = {"id": short[own], **node.attrib}
        for name in node.attrib.keys() & {"href", "clip-path"}:
            node.attrib[name] = REFERENCE.sub(lambda match: short[match[0]], node.attrib[name])
