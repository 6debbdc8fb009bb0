"""Encoded images: their sizes from headers, and their pixels as far as a plan looks at them."""

from .batch import Decoded, Files
from .errors import DecodeError
from .files import Source, is_encoded
from .header import Header, read_header
from .options import Decode, DecodeOptions
from .whole import decode

__all__ = [
    "Decode",
    "DecodeError",
    "DecodeOptions",
    "Decoded",
    "Files",
    "Header",
    "Source",
    "decode",
    "is_encoded",
    "read_header",
]
