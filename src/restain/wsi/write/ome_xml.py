"""The metadata in a slide file: OME-XML, the form that QuPath, OMERO and Bio-Formats read.

Source: OME data model, schema 2016-06 (https://docs.openmicroscopy.org/ome-model).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

from restain.types import Mpp
from restain.wsi.geometry import Size

_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_NAMESPACE = "restain"  # of the annotation that holds the description
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2


@dataclass(frozen=True)
class SlideMetadata:
    """What is written beside the pixels.

    Attributes:
        mpp: microns per pixel of the finest level.
        name: of the image, as viewers show it.
        description: what made it, e.g. stainer, hash of its weights, recipe, source, that the stain is virtual.
        icc: colour profile of the pixels, as the source slide carried it.
    """

    mpp: Mpp
    name: str
    description: Mapping[str, str] = field(default_factory=dict)
    icc: bytes | None = None


def write_omexml(metadata: SlideMetadata, size: Size, creator: str, digest: bytes) -> str:
    """The ImageDescription of the first directory: one RGB image of one plane.

    Args:
        metadata: of the slide.
        size: of the finest level.
        creator: the program and its version.
        digest: 16 bytes or more that stand for the pixels; with the same metadata they give the same UUID, where a
            random one would make two equal slides differ.

    Returns:
        XML whose letters stand for themselves, to be kept as UTF-8: Bio-Formats spoils character references, and
        with one in "µm" it takes the file for a TIFF without a pyramid.
    """
    lines = "\n".join(f"{key}: {value}" for key, value in metadata.description.items())
    root = ElementTree.Element("OME", {"xmlns": _SCHEMA, "Creator": creator})
    image = ElementTree.SubElement(root, "Image", ID="Image:0", Name=_line(metadata.name))
    ElementTree.SubElement(image, "Description").text = _clean(lines)
    mpp = repr(float(metadata.mpp))
    pixels = {"ID": "Pixels:0", "DimensionOrder": "XYCZT", "Type": "uint8", "SignificantBits": "8"}
    pixels |= {"Interleaved": "true", "BigEndian": "false"}
    pixels |= {"SizeX": str(size.width), "SizeY": str(size.height), "SizeC": "3", "SizeZ": "1", "SizeT": "1"}
    pixels |= {"PhysicalSizeX": mpp, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": mpp, "PhysicalSizeYUnit": "µm"}
    plane = ElementTree.SubElement(image, "Pixels", pixels)
    ElementTree.SubElement(plane, "Channel", ID="Channel:0:0", SamplesPerPixel="3")
    ElementTree.SubElement(plane, "TiffData", IFD="0", PlaneCount="1")
    ElementTree.SubElement(image, "AnnotationRef", ID="Annotation:0")
    annotations = ElementTree.SubElement(root, "StructuredAnnotations")
    annotation = ElementTree.SubElement(annotations, "MapAnnotation", ID="Annotation:0", Namespace=_NAMESPACE)
    values = ElementTree.SubElement(annotation, "Value")
    for key, value in metadata.description.items():
        ElementTree.SubElement(values, "M", K=_line(key)).text = _clean(value)
    body = ElementTree.tostring(root, encoding="unicode")
    root.set("UUID", f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, f'{body} {digest.hex()}')}")
    return '<?xml version="1.0" encoding="UTF-8"?>' + str(ElementTree.tostring(root, encoding="unicode"))


def _clean(text: str) -> str:
    """Without the control characters that XML cannot hold, not even escaped; scanners write them now and then."""
    return _NO_XML.sub("\ufffd", text)


def _line(text: str) -> str:
    """For an attribute, where a line's end would become a character reference."""
    return " ".join(_clean(text).split())


def read_description(xml: str) -> dict[str, str]:
    """The keys and values of all map annotations of an OME-XML, as ``write_omexml`` and others write them."""
    pairs = ElementTree.fromstring(xml).iterfind(".//{*}MapAnnotation/{*}Value/{*}M")
    return {pair.get("K", ""): pair.text or "" for pair in pairs}
