"""Encoded images: their sizes from headers, and their pixels as far as a plan looks at them."""

from .errors import DecodeError
from .header import Header, read_header
from .whole import Source, decode

__all__ = ["DecodeError", "Header", "Source", "decode", "read_header"]
