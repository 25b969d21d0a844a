"""The errors that Python raises when it reads a damaged zip archive, or a file that is none."""

import zipfile
import zlib

DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    KeyError,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,  # an encrypted member, or (NotImplementedError) one of another kind or version
)
