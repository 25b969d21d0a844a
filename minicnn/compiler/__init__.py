"""A small compiler: kernels, written in a small part of Python, become machine code by LLVM.

values      numbers, arrays, tuples: what a kernel computes with
translate   Python's text to LLVM's language
machine     the processor, machine code, loading it
cache       machine code on disk
kernel      kernels as Python calls them
"""
