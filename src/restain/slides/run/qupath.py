"""A script for QuPath beside a batch: a project with each H&E and its virtual stain, ready to be looked at.

Written against QuPath 0.5 and 0.6 (https://qupath.github.io/javadoc/docs). It is plain text; no QuPath is needed here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from restain.slides.record import SlideRecord
from restain.slides.run.job import SUFFIX
from restain.stains import DAB, HEMATOXYLIN

_SCRIPT = """\
/*
 * Virtual slides of restain in QuPath: virtual stains, not real IHC; for research, not for clinical use.
 *
 * Create or open a project (File > Project...), open this file in Automate > Script editor, and run it. Each H&E and
 * its virtual slide are added with their image types, stain vectors and the tissue as an annotation. The first pair
 * opens in two viewers that move together (View > Multi-view > Synchronize viewers); drag another pair onto them from
 * the project's list. Run again, the script adds only pairs that the project does not hold yet.
 */
import java.awt.geom.AffineTransform
import javafx.application.Platform
import qupath.lib.color.ColorDeconvolutionStains
import qupath.lib.gui.commands.ProjectCommands
import qupath.lib.images.ImageData
import qupath.lib.images.servers.ImageServers
import qupath.lib.io.PathIO
import qupath.lib.objects.PathObjectTools

// [H&E, virtual slide, tissue, microns per pixel of the H&E, of the virtual slide]
def slides = [
%(rows)s
]
def stains = ColorDeconvolutionStains.parseColorDeconvolutionStainsArg('''%(stains)s''')

def project = getProject()
if (project == null) {
    println 'Create or open a project first: File > Project... > Create project'
    return
}

def add(project, String path, type, stains, File tissue, double scale) {
    def file = new File(path)
    def known = project.getImageList().find { it.getURIs().contains(file.toURI()) }
    if (known != null)
        return known
    if (!file.exists()) {
        println 'Not found: ' + path
        return null
    }
    def builder = ImageServers.getImageSupport(file.toURI()).builders[0]
    def entry = project.addImage(builder)
    def imageData = entry.readImageData()
    imageData.setImageType(type)
    if (stains != null)
        imageData.setColorDeconvolutionStains(stains)
    if (tissue.exists()) {
        def transform = AffineTransform.getScaleInstance(scale, scale)
        def objects = PathIO.readObjects(tissue).collect { PathObjectTools.transformObject(it, transform, true) }
        objects.each { it.setLocked(true) }
        imageData.getHierarchy().addObjects(objects)
    }
    entry.setImageName(file.getName())
    entry.setThumbnail(ProjectCommands.getThumbnailRGB(imageData.getServer()))
    entry.saveImageData(imageData)
    return entry
}

def pairs = slides.collect { he, ihc, tissue, heMpp, ihcMpp ->
    def contours = new File(tissue) // in pixels of the virtual slide
    [add(project, he, ImageData.ImageType.BRIGHTFIELD_H_E, null, contours, ihcMpp / heMpp),
     add(project, ihc, ImageData.ImageType.BRIGHTFIELD_H_DAB, stains, contours, 1)]
}.findAll { !it.contains(null) }
project.syncChanges()
println pairs.size() + ' pairs of slides in the project'

def gui = getQuPath() // none where QuPath runs without its window
if (gui != null && !pairs.isEmpty()) {
    Platform.runLater {
        gui.refreshProject()
        def manager = gui.getViewerManager()
        if (!manager.setGridSize(1, 2))
            return
        manager.setSynchronizeViewers(true)
        pairs[0].eachWithIndex { entry, index ->
            manager.setActiveViewer(manager.getAllViewers()[index])
            gui.openImageEntry(entry)
        }
        manager.matchResolutions()
    }
}
"""


def qupath_script(records: Sequence[SlideRecord]) -> str:
    """The script for the slides that have an output; their paths in it are absolute."""
    rows = ",\n".join(_row(record) for record in records if record.mpp and record.slide_mpp)
    stains = {
        "Name": "H-DAB",
        "Stain 1": "Hematoxylin",
        "Values 1": _vector(HEMATOXYLIN),
        "Stain 2": "DAB",
        "Values 2": _vector(DAB),
        "Background": "255 255 255",
    }
    return _SCRIPT.replace("%(rows)s", rows).replace("%(stains)s", json.dumps(stains))


def _row(record: SlideRecord) -> str:
    target = Path(record.output).absolute()
    tissue = target.with_name(target.name.removesuffix(SUFFIX) + ".tissue.geojson")
    paths = (Path(record.slide).absolute(), target, tissue)
    return f"    [{', '.join(_quoted(str(path)) for path in paths)}, {record.slide_mpp!r}, {record.mpp!r}]"


def _quoted(text: str) -> str:
    """A Groovy string without interpolation; other letters than ASCII as Unicode escapes, whatever the editor reads."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return "'" + "".join(letter if letter.isascii() else _escape(letter) for letter in escaped) + "'"


def _escape(letter: str) -> str:
    units = letter.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _vector(values: Iterable[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)
