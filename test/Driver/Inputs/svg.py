"""Prints what a plot shows, and fails unless every curve and text lies inside it: svg.py FILE."""

import sys
import xml.etree.ElementTree as tree

root = tree.parse(sys.argv[1]).getroot()
_, _, width, height = map(float, root.get("viewBox").split())
space = "{http://www.w3.org/2000/svg}"
for curve in root.iter(space + "polyline"):
    points = [tuple(map(float, pair.split(","))) for pair in curve.get("points").split()]
    assert all(0 < x < width and 0 < y < height for x, y in points), points
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    print("curve of", len(points), "points")
for text in root.iter(space + "text"):
    assert 0 <= float(text.get("x")) < width and 0 < float(text.get("y")) < height
    print("text:", text.text)
for title in root.iter(space + "title"):
    print("point:", title.text)
