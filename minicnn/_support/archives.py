"""What reading a zip archive raises that is damaged, or none."""

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
