"""Colours of label maps: {palette: {class: (red, green, blue)}}; the background comes first.

Which side of which data set is drawn in which palette, `catalogue` says.
"""

# As the published facades decode; the classes are those of the CMP facade database.
FACADES = {
    "background": (0, 0, 222),
    "wall": (0, 48, 255),
    "window": (0, 128, 255),
    "door": (0, 207, 255),
    "cornice": (32, 255, 224),
    "sill": (112, 255, 143),
    "balcony": (192, 255, 63),
    "shutter": (255, 240, 0),
    "deco": (255, 160, 0),
    "molding": (255, 80, 0),
    "pillar": (255, 0, 0),
    "shop": (174, 0, 0),
}
CITYSCAPES = {
    "unlabeled": (0, 0, 0),
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
EDGES = {"paper": (255, 255, 255), "line": (0, 0, 0)}
PALETTES = {"facades": FACADES, "cityscapes": CITYSCAPES, "edges": EDGES}
