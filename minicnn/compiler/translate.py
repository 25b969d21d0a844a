"""Translates a kernel's Python text into LLVM's language.

A kernel is a Python function in a small subset of Python: whole and floating-point
numbers, arrays, `if`, `while`, `for … in range(…)`, and calls of other functions of its kind. Its
text is read (`ast`), each expression becomes a few instructions, and LLVM does the rest: registers,
inlining, vectors. So a kernel compiles in milliseconds.

Every operator means the same as in Python (`//` and `%` round down, comparisons chain, `and` stops
early). The differences:

- A variable keeps the kind of its first value; an integer variable accepts only integers.
- A loop's step that is computed at run time must be positive.
- An index is not checked, and a negative one does not count from the end.
- An array is C-contiguous. `x[n, i]` and `x[n, i, first:last]` are views of it; only the last index
  may be a slice.
- `np.empty` and `np.zeros` take memory that the thread keeps for such arrays (`scratch`). It is
  taken back at the end of the function, or of the round of the loop, that asked for it.

This file has statements, calls, and whole functions; their parts are in `expressions`, `memory` and
`arithmetic`.
"""

import ast
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from minicnn.compiler.arithmetic import NO_WRAP
from minicnn.compiler.expressions import Expressions, Method
from minicnn.compiler.language import (
    Builtin,
    CompileError,
    Function,
    Module,
    RefusedError,
    Separate,
)
from minicnn.compiler.library import CALLS
from minicnn.compiler.values import (
    BOOL,
    BY_DTYPE,
    BYTE,
    FLOAT32,
    FLOAT64,
    I64,
    INT,
    POINTER,
    Array,
    ArrayKind,
    Kind,
    Number,
    Scalar,
    flattened,
    kind_of,
    name_of,
    parts_of,
    rebuilt,
)


class Compiler(Expressions):
    """Writes the instructions of one function."""

    def compile_body(self, parameters: dict[str, Any], scratch: Any, end: Any, result: Any) -> None:
        """Write the function, given its parameters' values and the bounds of its scratch memory."""
        self.result = result
        self._end = self.function.append_basic_block("end")
        self.scratch, self.end = self.alloca(I64), end
        self.builder.store(scratch, self.scratch)
        for name, value in parameters.items():
            self.assign_name(name, value)
        assert isinstance(self.tree, ast.FunctionDef)
        self.block(self.tree.body)
        if not self.builder.block.is_terminated:
            self.builder.branch(self._end)
        self.builder.position_at_end(self._end)
        for extra in self._extra:
            self.free(self.builder.load(extra, typ=POINTER))
        self.builder.ret_void()
        self.entry_builder.branch(self._body)

    def block(self, statements: list[ast.stmt]) -> None:
        """Write these statements, up to a `return`, `break` or `continue`."""
        for statement in statements:
            if self.builder.block.is_terminated:
                return
            try:
                method = getattr(self, f"do_{type(statement).__name__}", None)
                if method is None:
                    raise RefusedError(f"A kernel has no {type(statement).__name__}.")
                method(statement)
            except CompileError:
                raise
            except Exception as error:
                kind = "" if isinstance(error, RefusedError) else f"{type(error).__name__}: "
                line = self.first_line + statement.lineno - 1
                raise CompileError(
                    f"{self.file}:{line}: "
                    f"{ast.unparse(statement).splitlines()[0].rstrip(':')}: {kind}{error}"
                ) from error

    def do_Expr(self, node: ast.Expr) -> None:  # noqa: N802
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.value(node.value)

    def do_Pass(self, node: ast.Pass) -> None:  # noqa: N802
        pass

    def do_Assign(self, node: ast.Assign) -> None:  # noqa: N802
        value = self.value(node.value)
        for target in node.targets:
            self.assign(target, value)

    def do_AugAssign(self, node: ast.AugAssign) -> None:  # noqa: N802
        target = node.target
        if isinstance(target, ast.Subscript):
            array, indices = self.value(target.value), self.indices(target.slice)
            self.check_indices(array, indices)
            if len(indices) < len(array.dims) or any(isinstance(i, slice) for i in indices):
                raise RefusedError("A kernel changes one number of an array, not a part of it.")
            place = self.place(array, indices)
            before = self.load(array.element, place)
            self.store(
                array.element, self.operation(node.op, before, self.value(node.value)), place
            )
        else:
            if not isinstance(target, ast.Name):
                raise RefusedError(f"A kernel cannot assign to {ast.unparse(target)}.")
            before = self.value(ast.Name(target.id, ast.Load()))
            self.assign(target, self.operation(node.op, before, self.value(node.value)))

    def assign(self, target: ast.expr, value: Any) -> None:
        """Give the target this value."""
        if isinstance(target, ast.Name):
            self.assign_name(target.id, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            if not isinstance(value, tuple) or len(value) != len(target.elts):
                raise RefusedError(f"{len(target.elts)} names expect a tuple of that length.")
            for item, part in zip(target.elts, value, strict=True):
                if isinstance(item, ast.Starred):
                    raise RefusedError("A kernel has no starred targets.")
                self.assign(item, part)
        elif isinstance(target, ast.Subscript):
            array, indices = self.value(target.value), self.indices(target.slice)
            self.check_indices(array, indices)
            if len(indices) == len(array.dims) and not any(isinstance(i, slice) for i in indices):
                self.store(array.element, value, self.place(array, indices))
            else:
                self.fill(self.view(array, indices), value)
        else:
            raise RefusedError(f"A kernel cannot assign to {ast.unparse(target)}.")

    def assign_name(self, name: str, value: Any) -> None:
        """Give the variable this value; its first value decides its kind."""
        if name not in self.variables:
            kind = kind_of(value)
            if kind is BYTE:
                kind = INT
            self.variables[name] = kind, [self.alloca(part) for part in parts_of(kind)]
        kind, places = self.variables[name]
        if isinstance(kind, Scalar):
            self._check_kept(value, kind, name)
            self.builder.store(self.converted(value, kind), places[0])
            return
        if kind_of(value) != kind:
            found = name_of(kind_of(value))
            raise TypeError(f"{name} is {name_of(kind)} and cannot become {found}")
        for part, place in zip(flattened(value), places, strict=True):
            self.builder.store(part, place)

    def _check_kept(self, value: Any, kind: Scalar, what: str) -> None:
        """Refuse a number that this kind cannot hold without loss."""
        given = kind_of(value)
        order = {BOOL: 0, INT: 1, BYTE: 1, FLOAT32: 2, FLOAT64: 2}
        if not isinstance(given, Scalar) or order[given] > order[kind]:
            raise TypeError(f"{what} is {name_of(kind)} and cannot become {name_of(given)}")

    def do_If(self, node: ast.If) -> None:  # noqa: N802
        test = self.truth(self.value(node.test))
        if isinstance(test, bool):  # known while compiling
            self.block(node.body if test else node.orelse)
            return
        then, otherwise, after = (self.function.append_basic_block() for _ in range(3))
        self.builder.cbranch(test, then, otherwise)
        for start, statements in ((then, node.body), (otherwise, node.orelse)):
            self.builder.position_at_end(start)
            self.block(statements)
            if not self.builder.block.is_terminated:
                self.builder.branch(after)
        self.builder.position_at_end(after)

    def do_While(self, node: ast.While) -> None:  # noqa: N802
        if node.orelse:
            raise RefusedError("A kernel's loop has no else.")
        before, body, after = (self.function.append_basic_block() for _ in range(3))
        self.builder.branch(before)
        self.builder.position_at_end(before)
        self.builder.cbranch(self.as_bool(self.value(node.test)), body, after)
        self.builder.position_at_end(body)
        self._round(node.body, before, after)
        self.builder.position_at_end(after)

    def do_For(self, node: ast.For) -> None:  # noqa: N802
        call = node.iter
        if not isinstance(call, ast.Call) or self.value(call.func) is not range:
            raise RefusedError("A kernel's for loop goes over a range.")
        limits = self.arguments(call)
        if not 1 <= len(limits) <= 3:
            raise RefusedError("A range has one to three limits.")
        first, stop, step = (0, *limits, 1) if len(limits) == 1 else (*limits, 1)[:3]
        if node.orelse or step == 0:
            raise RefusedError("A kernel's loop has no else, and no step of 0.")
        # Tell LLVM that a step computed at run time counts up.
        goes_on = ">" if isinstance(step, int) and step < 0 else "<"
        counter = self.alloca(I64)
        self.builder.store(self.as_int(first), counter)
        stop, step = self.as_int(stop), self.as_int(step)
        before, body, next_round, after = (self.function.append_basic_block() for _ in range(4))
        self.builder.branch(before)
        self.builder.position_at_end(before)
        index = self.builder.load(counter, typ=I64)
        self.builder.cbranch(self.builder.icmp_signed(goes_on, index, stop), body, after)
        self.builder.position_at_end(body)
        self.assign(node.target, Number(INT, index))
        self._round(node.body, next_round, after)
        self.builder.position_at_end(next_round)
        index = self.builder.load(counter, typ=I64)
        self.builder.store(self.builder.add(index, step, flags=NO_WRAP), counter)
        self.builder.branch(before)
        self.builder.position_at_end(after)

    def _round(self, statements: list[ast.stmt], next_round: Any, after: Any) -> None:
        """Write one round of a loop, which frees its scratch memory at its end."""
        taken = self.builder.load(self.scratch, typ=I64)
        back = self.function.append_basic_block()
        self._loops.append((back, after))
        self.block(statements)
        self._loops.pop()
        if not self.builder.block.is_terminated:
            self.builder.branch(back)
        self.builder.position_at_end(back)
        self.builder.store(taken, self.scratch)
        self.builder.branch(next_round)

    def do_Continue(self, node: ast.Continue) -> None:  # noqa: N802
        self.builder.branch(self._loops[-1][0])

    def do_Break(self, node: ast.Break) -> None:  # noqa: N802
        self.builder.branch(self._loops[-1][1])

    def do_Return(self, node: ast.Return) -> None:  # noqa: N802
        if node.value is not None:
            value = self.value(node.value)
            kind = kind_of(value)
            if self.returned is None:
                self.returned = kind
            if isinstance(self.returned, Scalar):
                self._check_kept(value, self.returned, "what the function returns")
                parts = [self.converted(value, self.returned)]
            elif kind != self.returned:
                found = name_of(kind)
                raise TypeError(f"a function returns {name_of(self.returned)} and {found}")
            else:
                parts = flattened(value)
            for number, part in enumerate(parts):
                place = self.builder.gep(self.result, [ir.Constant(I64, number)], source_etype=I64)
                self.builder.store(part, place)
        self.builder.branch(self._end)

    # -- calls -------------------------------------------------------------------------------------

    def of_Call(self, node: ast.Call) -> Any:  # noqa: N802
        function, arguments = self.value(node.func), self.arguments(node)
        if isinstance(function, Function):
            return self.call(function, arguments)
        if isinstance(function, Builtin):
            return function.write(self, *arguments)
        if isinstance(function, Separate):
            if function.element is None:
                element = arguments.pop(0).element
            else:
                element = function.element
            symbol = function.symbol(element)
            self.module.required[symbol] = None
            target = self.module.declared(symbol, _whole_numbers(function.count))
            numbers = [self.as_int(argument) for argument in arguments]
            return self.builder.call(target, numbers) and None
        if isinstance(function, Method):
            return self._method(function, arguments)
        if isinstance(function, type) and issubclass(function, np.generic):
            return self.cast(BY_DTYPE[np.dtype(function)], arguments[0])
        known = CALLS.get(function)
        if known is None:
            raise RefusedError(f"A kernel cannot call {ast.unparse(node.func)}.")
        return known(self, *arguments)

    def arguments(self, node: ast.Call) -> list[Any]:
        """Return the values of a call's arguments."""
        if node.keywords:
            raise RefusedError(f"A kernel's calls have no keyword arguments: {ast.unparse(node)}.")
        return list(self.of_Tuple(ast.Tuple(node.args, ast.Load())))

    def call(self, function: Function, arguments: list[Any]) -> Any:
        """Call another function of kernels."""
        kinds = tuple(kind_of(argument) for argument in arguments)
        parts = [part for argument in arguments for part in flattened(argument)]
        scratch = self.builder.load(self.scratch, typ=I64)
        target, returned = inner_function(self.module, function, kinds)
        count = 0 if returned is None else len(parts_of(returned))
        result = self.alloca(I64, max(count, 1))
        self.builder.call(target, [result, scratch, self.end, *parts])
        if returned is None:
            return None
        found = []
        for number, part in enumerate(parts_of(returned)):
            place = self.builder.gep(result, [ir.Constant(I64, number)], source_etype=I64)
            found.append(self.builder.load(place, typ=part))
        return rebuilt(returned, found)

    def _method(self, method: Method, arguments: list[Any]) -> Any:
        array = method.owner
        if method.name == "reshape":
            sizes = list(arguments[0]) if isinstance(arguments[0], tuple) else arguments
            if sizes == [-1]:
                sizes = [self.size(array)]
            if any(isinstance(size, int) and size < 0 for size in sizes):
                raise RefusedError("Only reshape(-1), of one axis, is computed.")
            return Array(array.element, array.pointer, [self.as_int(size) for size in sizes])
        raise AttributeError(method.name)


# -- functions in modules --------------------------------------------------------------------------


def _signature(python: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(python).parameters)


def inner_function(
    module: Module, function: Function, kinds: tuple[Kind, ...]
) -> tuple[ir.Function, Kind | None]:
    """Return the module's function for arguments of these kinds, and the kind that it returns."""
    key = function, kinds
    if key not in module.functions:
        types = [POINTER, I64, I64, *[part for kind in kinds for part in parts_of(kind)]]
        if key in module.begun:
            raise RefusedError(f"{function.__name__} calls itself: kernels have no recursion.")
        module.begun.add(key)
        name = f"{function.__name__}.{len(module.begun)}"
        target = ir.Function(module.ir, ir.FunctionType(ir.VoidType(), types), name)
        target.linkage = "internal"
        target.attributes.add("alwaysinline")
        target.args[0].add_attribute("noalias")
        compiler = Compiler(module, function.python)
        compiler.begin(target)
        parts = list(target.args[3:])
        names = _signature(function.python)
        values = {name: rebuilt(kind, parts) for name, kind in zip(names, kinds, strict=True)}
        compiler.compile_body(values, target.args[1], target.args[2], target.args[0])
        module.functions[key] = target, compiler.returned
    return module.functions[key]


def _whole_numbers(count: int) -> ir.FunctionType:
    return ir.FunctionType(ir.VoidType(), [I64] * count)


def separate_function(module: Module, function: Separate, element: Scalar) -> None:
    """Write a separate function for this kind of number into the module."""
    target = ir.Function(module.ir, _whole_numbers(function.count), module.ir.name)
    compiler = Compiler(module, None)
    compiler.begin(target)
    function.write(compiler, element, *target.args)
    compiler.builder.ret_void()
    compiler.entry_builder.branch(compiler._body)


# NumPy's arrays in memory, as its C interface defines them (`PyArrayObject_fields`): after the
# header that every object has come the address of the numbers, the number of axes (4 bytes and 4
# unused), and the address of the axes' lengths.
_DATA = object.__basicsize__ // 8
_LENGTHS = _DATA + 2


def kernel_function(module: Module, python: Callable[..., Any], kinds: tuple[Kind, ...]) -> None:
    """Write a kernel as the scheduler calls it: (record, task, scratch, end of scratch).

    The record has eight bytes for each number among the arguments, and for each array the address
    of NumPy's object.
    """
    types = [POINTER, I64, I64, I64]
    target = ir.Function(module.ir, ir.FunctionType(ir.VoidType(), types), module.ir.name)
    compiler = Compiler(module, python)
    compiler.begin(target)
    record, task, scratch, end = target.args
    names = _signature(python)
    values: dict[str, Any] = {names.pop(0): Number(INT, task)}
    slots = iter(range(2**16))

    def read(base: Any, slot: int, kind: Any) -> Any:
        place = compiler.builder.gep(base, [ir.Constant(I64, slot)], source_etype=I64)
        loaded = compiler.builder.load(place, typ=kind)
        loaded.align = 8
        return loaded

    def argument(kind: Kind) -> Any:
        if isinstance(kind, ArrayKind):
            numpys = read(record, next(slots), POINTER)
            lengths = read(numpys, _LENGTHS, POINTER)
            sizes = [read(lengths, axis, I64) for axis in range(kind.ndim)]
            return Array(kind.element, read(numpys, _DATA, POINTER), sizes)
        if isinstance(kind, Scalar):
            return Number(INT if kind is BYTE else kind, read(record, next(slots), kind.ir))
        return tuple(argument(item) for item in kind.items)

    for name, kind in zip(names, kinds, strict=True):
        values[name] = argument(kind)
    compiler.compile_body(values, scratch, end, None)


CONTEXT = 4  # whole numbers in a thread's context: scratch memory from, to; and two for the caller


def entry_function(module: Module, python: Callable[..., Any]) -> None:
    """Write a function that Python calls with whole numbers; the last is a context's address."""
    names = _signature(python)
    kind = ir.FunctionType(ir.VoidType(), [I64] * len(names))
    target = ir.Function(module.ir, kind, module.ir.name)
    compiler = Compiler(module, python)
    compiler.begin(target)
    values: dict[str, Any] = {
        name: Number(INT, value) for name, value in zip(names, target.args, strict=True)
    }
    pointer = compiler.builder.inttoptr(target.args[-1], POINTER)
    context = Array(INT, pointer, [ir.Constant(I64, CONTEXT)])
    values[names[-1]] = context
    scratch, end = (compiler.load(INT, compiler.place(context, [k])).value for k in (0, 1))
    compiler.compile_body(values, scratch, end, None)
