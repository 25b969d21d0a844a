"""What every room may use: files, downloads, progress, terminals, settings and variables.

    addresses    which web addresses may be opened
    arguments    functions that read the value of an argparse option
    atomic       writing files whole or not at all
    connections  opens those addresses
    download     files from the web, checked
    early        an interrupt while a command is still being imported
    forks        locks that are free in a forked process
    interrupts   Ctrl-C waits until work that must not stop halfway is done
    progress     a bar on a terminal or in a notebook
    reading      reading only files that are regular and not too large
    seeding      the only source of random numbers
    settings     arguments of an object as `get_config` returns them
    terminal     how commands end, and what they print
    variable     one weight array with a name

It imports nothing else from minicnn but `shapes`.
"""
