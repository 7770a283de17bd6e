"""Limits on what a file, a chat template or a config may ask of this machine; larger ones end in one line."""

ROW = 32 * 2**20  # bytes of one row of a data file
ROWS = 5_000_000  # rows of a data file
UNPACKED = 2 * 2**30  # bytes of a data file once unpacked
WHOLE = 2**28  # bytes, once unpacked, of a packed file that is read whole
TEMPLATE = 2**20  # characters of a chat template
TEMPLATE_SECONDS = 10  # to render one chat
TEMPLATE_MEMORY = 2**30  # bytes that rendering one chat may take
DEPTH = 50  # levels of a config
ENTRIES = 1_000_000  # of a config, with each use of an anchor
BITS = 64  # of a whole number in a config
SOCKET = 107  # bytes of a socket's path, in Linux
