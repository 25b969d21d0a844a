"""How threads share out the tasks of a table of steps, in the language of kernels.

A row of the table is a step: a kernel's address, its record's address, its number of tasks. Each
thread goes through the table. In each step it takes tasks, one after the other, from a counter;
when none is left, it waits until all of them are done, and goes on to the next step. So no one
waits for a thread that comes late or is held up, unless it is computing a task.

There is one team of threads. A caller that needs a table while the team is busy computes it alone.
"""

from typing import Any

import numpy as np
from llvmlite import ir

from minicnn.compiler.language import Function, builtin
from minicnn.compiler.translate import Compiler
from minicnn.compiler.values import I64, INT, POINTER, Array, Number

LINE = 16  # int64 in two cache lines: counters this far apart do not slow each other down

# Places in the team's state, each in a cache line of its own.
BUSY, OPEN, INSIDE, WANTED = (LINE * k for k in range(4))
TABLE, STEPS, COUNTERS = (LINE * 4 + k for k in range(3))
STATE = LINE * 5

# A thread's context: its scratch memory (from, to), the team's state, and the system's function
# that yields the core.
TEAM, GIVE_WAY = 2, 3

KERNEL, RECORD, TASKS = range(3)  # columns of a table
COLUMNS = 4
TAKEN, DONE = 0, LINE  # counters of a step
_PATIENCE = 1000  # pauses before a thread that waits for a task lets other programs run


@builtin
def numbers_at(compiler: Compiler, address: Any, *shape: Any) -> Array:
    """Return the int64 array of this shape at an address."""
    pointer = compiler.builder.inttoptr(compiler.as_int(address), POINTER)
    return Array(INT, pointer, [compiler.as_int(size) for size in shape])


@builtin
def add(compiler: Compiler, array: Array, index: Any, more: Any) -> Number:
    """Add to array[index] atomically and return the previous value."""
    place = compiler.place(array, [index])
    added = compiler.builder.atomic_rmw("add", place, compiler.as_int(more), "seq_cst")
    return Number(INT, added)


@builtin
def read(compiler: Compiler, array: Array, index: Any) -> Number:
    """Return array[index] with acquire ordering: see all that its writer wrote before it."""
    place = compiler.place(array, [index])
    return Number(INT, compiler.builder.load_atomic(place, "seq_cst", 8, typ=I64))


@builtin
def write(compiler: Compiler, array: Array, index: Any, value: Any) -> None:
    """Set array[index] with release ordering: other threads then see all earlier writes, too."""
    place = compiler.place(array, [index])
    compiler.builder.atomic_rmw("xchg", place, compiler.as_int(value), "seq_cst")


@builtin
def compute(
    compiler: Compiler, kernel: Any, record: Any, task: Any, scratch: Any, end: Any
) -> None:
    """Call the kernel at an address."""
    kind = ir.FunctionType(ir.VoidType(), [I64] * 4)
    function = compiler.builder.inttoptr(kernel.value, kind.as_pointer())
    arguments = [compiler.as_int(value) for value in (record, task, scratch, end)]
    compiler.builder.call(function, arguments)


@builtin
def memory(compiler: Compiler) -> tuple[Number, Number]:
    """Return where the free scratch memory begins and ends."""
    begin = compiler.builder.load(compiler.scratch, typ=I64)
    return Number(INT, begin), Number(INT, compiler.end)


@builtin
def pause(compiler: Compiler) -> None:
    """Tell the processor that this thread is only waiting."""
    from minicnn.compiler import machine

    system, i32 = machine.processor().triple, ir.IntType(32)
    if system.startswith("x86_64"):
        name, arguments = "llvm.x86.sse2.pause", []
    elif system.startswith("aarch64"):
        name, arguments = "llvm.aarch64.hint", [ir.Constant(i32, 1)]  # its `yield`
    else:
        return
    kind = ir.FunctionType(ir.VoidType(), [i32 for _ in arguments])
    compiler.builder.call(compiler.module.declared(name, kind), arguments)


@builtin
def let_others_run(compiler: Compiler, function: Any) -> None:
    """Yield the core: call the system's function at this address."""
    kind = ir.FunctionType(ir.IntType(32), [])
    compiler.builder.call(compiler.builder.inttoptr(function.value, kind.as_pointer()), [])


@Function
def _wait(waited, give_way):
    if waited < _PATIENCE:
        pause()
    else:
        let_others_run(give_way)


@Function
def take_part(table, counters, give_way):
    """Compute tasks of all steps, until all are done."""
    scratch, end = memory()
    for step in range(len(table)):
        tasks = table[step, TASKS]
        counter = counters[step]
        task = add(counter, TAKEN, 1)
        while task < tasks:
            compute(table[step, KERNEL], table[step, RECORD], task, scratch, end)
            add(counter, DONE, 1)
            task = add(counter, TAKEN, 1)
        waited = 0
        while read(counter, DONE) < tasks:
            _wait(waited, give_way)
            waited += 1


@Function
def _run(table, wanted, context):
    state, give_way = numbers_at(context[TEAM], STATE), context[GIVE_WAY]
    if wanted > 1 and add(state, BUSY, 1) == 0:
        counters = np.zeros((len(table), 2 * LINE), np.int64)
        state[TABLE] = table.address
        state[STEPS] = len(table)
        state[COUNTERS] = counters.address
        state[WANTED] = wanted
        write(state, OPEN, 1)
        take_part(table, counters, give_way)
        write(state, OPEN, 0)
        waited = 0
        while read(state, INSIDE) > 0:  # they still read the table
            _wait(waited, give_way)
            waited += 1
        add(state, BUSY, -1)
        return
    if wanted > 1:
        add(state, BUSY, -1)
    scratch, end = memory()
    for step in range(len(table)):
        for task in range(table[step, TASKS]):
            compute(table[step, KERNEL], table[step, RECORD], task, scratch, end)


def run_step(record, kernel, tasks, wanted, context):
    """Compute one step."""
    table = np.empty((1, COLUMNS), np.int64)
    table[0, KERNEL] = kernel
    table[0, RECORD] = record
    table[0, TASKS] = tasks
    _run(table, wanted, context)


def run_table(table, steps, wanted, context):
    """Compute a table of steps."""
    _run(numbers_at(table, steps, COLUMNS), wanted, context)


def serve(number, idle_rounds, context):
    """Help with the team's work until there has been none for a while."""
    team, give_way = numbers_at(context[TEAM], STATE), context[GIVE_WAY]
    idle = 0
    while idle < idle_rounds:
        idle += 1
        if read(team, OPEN) == 0:
            pause()
            continue
        add(team, INSIDE, 1)
        if read(team, OPEN) == 1 and number < team[WANTED]:
            table = numbers_at(team[TABLE], team[STEPS], COLUMNS)
            counters = numbers_at(team[COUNTERS], team[STEPS], 2 * LINE)
            take_part(table, counters, give_way)
            idle = 0
        add(team, INSIDE, -1)
        pause()
