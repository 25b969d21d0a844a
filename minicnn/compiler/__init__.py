"""A small compiler that, with LLVM, makes machine code of kernels written in a subset of Python.

values      numbers, arrays, tuples: what a kernel computes with
language    what kernels are made of besides Python: functions, builtins
arithmetic, memory, expressions, library, translate
            Python's text to LLVM's language, from two numbers to a whole kernel
machine     the processor, machine code, loading it
cache       machine code on disk
loading     the machine code of a function: there already, from the disk, or compiled now
schedule    how threads share out tasks, in the language of kernels
threads     the threads, and how Python hands them work
recording   writing down what a computation asks of kernels, for programs
kernel      kernels as Python calls them
"""
