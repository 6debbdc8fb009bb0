"""Datasets whose images stay encoded until a plan says what of them is looked at.

suffixes, walk      which files below a folder are images, and what is left out, by name and reason
listing, folder     the parts and classes of such a folder; `Folder` is the dataset
check, report       every image decoded once: damaged ones by name, and what the others are like
command             `augengine check --images`
"""
