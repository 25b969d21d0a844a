"""What every room may need and nobody computes with.

    addresses   which web addresses may be opened, and how
    arguments   what argparse calls for the value of an option
    atomic      files appear whole or not at all
    download    files from the web, checked
    early       an interrupt while a command is still being imported
    progress    a bar on a terminal or in a notebook
    reading     files that are regular and not too large
    seeding     the one source of random numbers
    terminal    how commands end, and what they print

It imports nothing else of minicnn.
"""
