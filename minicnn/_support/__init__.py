"""What every room may use: files, downloads, progress, random numbers and terminals.

    addresses   which web addresses may be opened, and how
    arguments   functions that read the value of an argparse option
    atomic      writing files whole or not at all
    download    files from the web, checked
    early       an interrupt while a command is still being imported
    progress    a bar on a terminal or in a notebook
    reading     reading only files that are regular and not too large
    seeding     the only source of random numbers
    terminal    how commands end, and what they print

It imports nothing else from minicnn.
"""
