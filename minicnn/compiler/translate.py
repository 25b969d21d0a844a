"""From a kernel's Python text to LLVM's language.

A kernel is a Python function that keeps to a small part of Python: whole and floating-point
numbers, arrays, `if`, `while`, `for … in range(…)`, and calls of other functions of its kind. Its
text is read (`ast`), each expression becomes a few instructions, and LLVM does the rest: registers,
inlining, vectors. So a kernel compiles in milliseconds.

What is as in Python: the meaning of every operator (`//` and `%` round down, comparisons chain,
`and` stops early). What is not:

- A variable keeps the kind that its first value has; one of whole numbers takes no other.
- A loop's step that is computed counts up.
- An index is not checked, and a negative one does not count from the end.
- An array is C-contiguous. `x[n, i]` and `x[n, i, first:last]` are views of it; only the last index
  may be a slice.
- `np.empty` and `np.zeros` take memory that the thread keeps for such arrays (`scratch`). It is
  taken back at the end of the function, or of the round of the loop, that asked for it.
"""

import ast
import inspect
import math
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir

from minicnn.compiler.values import (
    BOOL,
    BY_DTYPE,
    BYTE,
    FLOAT32,
    FLOAT64,
    I1,
    I8,
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

_F = TypeVar("_F", bound=Callable[..., Any])
_FUSED = ("contract",)  # a * b + c may be one instruction; NaN and infinity stay what they are
_NO_WRAP = ("nsw",)
_ALIGNMENT = 64  # bytes, of scratch


class CompileError(TypeError):
    """A kernel says something that it may not: where, and what."""


class _RefusedError(Exception):
    """What a statement says that it may not; `Compiler.block` adds where."""


class Builtin:
    """A function that writes instructions itself: `write(compiler, *values)` returns its value."""

    def __init__(self, write: Callable[..., Any]) -> None:
        self.write, self.__name__, self.__doc__ = write, write.__name__, write.__doc__

    def __call__(self, *arguments: Any) -> Any:
        raise TypeError(f"{self.__name__} exists only in compiled kernels.")


def builtin(write: Callable[..., Any]) -> Builtin:
    """Have kernels call this function's name; it writes the instructions."""
    return Builtin(write)


class Function:
    """A function that kernels call: compiled into them for the kinds that it is called with.

    One that computes with numbers alone is a function of Python's as well.
    """

    def __init__(self, python: Callable[..., Any]) -> None:
        self.python = python
        self.__name__, self.__doc__ = python.__name__, python.__doc__

    def __call__(self, *arguments: Any) -> Any:
        return self.python(*arguments)


def function(python: _F) -> _F:
    """Make a function that kernels call of a function of Python."""
    return cast(_F, Function(python))


class Separate:
    """A function that is compiled once, by itself, for each kind of number; kernels share it.

    Kernels call it with an array, whose kind of number counts, unless that is always the same
    `element`, and with `count` whole numbers, which `write(compiler, element, *numbers)` gets as
    LLVM values. It is the global `name` of `module`.
    """

    def __init__(
        self,
        write: Callable[..., Any],
        count: int,
        name: str,
        element: Scalar | None = None,
        module: str = "",
    ) -> None:
        self.write, self.count, self.__name__, self.element = write, count, name, element
        self.__doc__, self.__module__ = write.__doc__, module or write.__module__

    def symbol(self, element: Scalar) -> str:
        """The name of its machine code, which says where it comes from."""
        return f"{self.__module__}:{self.__name__}:{element.name}"

    def __call__(self, *arguments: Any) -> Any:
        raise TypeError(f"{self.__name__} exists only in compiled kernels.")


class Module:
    """What is compiled together: one kernel or separate function, and the functions in it."""

    def __init__(self, name: str) -> None:
        self.ir = ir.Module(name)
        self.functions: dict[Any, tuple[Any, Kind | None]] = {}
        self.begun: set[Any] = set()  # keys of functions, of which some are not ready yet
        self.required: dict[str, None] = {}  # symbols of separate functions

    def declared(self, name: str, kind: ir.FunctionType) -> ir.Function:
        """The function of this name from outside."""
        found = self.ir.globals.get(name)
        return found if found is not None else ir.Function(self.ir, kind, name)


class Compiler:
    """Writes the instructions of one function."""

    def __init__(self, module: Module, function: Callable[..., Any] | None) -> None:
        """`function`: whose text is to be read; None where a builtin writes it all."""
        self.module = module
        if function is not None:
            self.file = function.__code__.co_filename
            lines, self.first_line = inspect.getsourcelines(function)
            self.tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
            self.globals = function.__globals__
        self.variables: dict[str, tuple[Kind, list[Any]]] = {}
        self.returned: Kind | None = None
        self._loops: list[tuple[Any, Any]] = []
        self._extra: list[Any] = []  # memory that did not fit into scratch

    # -- the frame of a function -------------------------------------------------------------------

    def begin(self, function: ir.Function) -> None:
        """Write into this LLVM function from now on."""
        self.function = function
        function.attributes.add("nounwind")
        self._entry = function.append_basic_block("entry")
        body = function.append_basic_block("body")
        self.entry_builder = ir.IRBuilder(self._entry)
        self.builder = ir.IRBuilder(body)
        self._body = body

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
            self._free(self.builder.load(extra, typ=POINTER))
        self.builder.ret_void()
        self.entry_builder.branch(self._body)

    def alloca(self, kind: Any, count: int = 1) -> Any:
        """A place in the frame; most become registers."""
        return self.entry_builder.alloca(kind, count)

    # -- statements --------------------------------------------------------------------------------

    def block(self, statements: list[ast.stmt]) -> None:
        """Write these statements, up to one that leaves."""
        for statement in statements:
            if self.builder.block.is_terminated:
                return
            try:
                method = getattr(self, f"do_{type(statement).__name__}", None)
                if method is None:
                    raise _RefusedError(f"A kernel has no {type(statement).__name__}.")
                method(statement)
            except CompileError:
                raise
            except Exception as error:
                kind = "" if isinstance(error, _RefusedError) else f"{type(error).__name__}: "
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
            self._check(array, indices)
            if len(indices) < len(array.dims) or any(isinstance(i, slice) for i in indices):
                raise _RefusedError("A kernel changes one number of an array, not a part of it.")
            place = self.place(array, indices)
            before = self.load(array.element, place)
            self.store(
                array.element, self.operation(node.op, before, self.value(node.value)), place
            )
        else:
            if not isinstance(target, ast.Name):
                raise _RefusedError(f"A kernel cannot assign to {ast.unparse(target)}.")
            before = self.value(ast.Name(target.id, ast.Load()))
            self.assign(target, self.operation(node.op, before, self.value(node.value)))

    def assign(self, target: ast.expr, value: Any) -> None:
        """Give the target this value."""
        if isinstance(target, ast.Name):
            self.assign_name(target.id, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            if not isinstance(value, tuple) or len(value) != len(target.elts):
                raise _RefusedError(f"{len(target.elts)} names want a tuple of as many values.")
            for item, part in zip(target.elts, value, strict=True):
                if isinstance(item, ast.Starred):
                    raise _RefusedError("A kernel has no starred targets.")
                self.assign(item, part)
        elif isinstance(target, ast.Subscript):
            array, indices = self.value(target.value), self.indices(target.slice)
            self._check(array, indices)
            if len(indices) == len(array.dims) and not any(isinstance(i, slice) for i in indices):
                self.store(array.element, value, self.place(array, indices))
            else:
                self.fill(self.view(array, indices), value)
        else:
            raise _RefusedError(f"A kernel cannot assign to {ast.unparse(target)}.")

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
        """Refuse a number of which this kind would keep only a part."""
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
            raise _RefusedError("A kernel's loop has no else.")
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
            raise _RefusedError("A kernel's for loop goes over a range.")
        limits = self.arguments(call)
        if not 1 <= len(limits) <= 3:
            raise _RefusedError("A range has one to three limits.")
        first, stop, step = (0, *limits, 1) if len(limits) == 1 else (*limits, 1)[:3]
        if node.orelse or step == 0:
            raise _RefusedError("A kernel's loop has no else, and no step of 0.")
        # Of a step that is computed, LLVM shall know as well which way it goes: up.
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
        self.builder.store(self.builder.add(index, step, flags=_NO_WRAP), counter)
        self.builder.branch(before)
        self.builder.position_at_end(after)

    def _round(self, statements: list[ast.stmt], next_round: Any, after: Any) -> None:
        """One round of a loop; what it takes of scratch is given back at its end."""
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

    # -- expressions -------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> Any:
        """The value of an expression: a `Number`, an `Array`, a tuple, or something of Python's."""
        method = getattr(self, f"of_{type(node).__name__}", None)
        if method is None:
            raise _RefusedError(f"A kernel has no {type(node).__name__}: {ast.unparse(node)}.")
        return method(node)

    def of_Constant(self, node: ast.Constant) -> Any:  # noqa: N802
        return node.value

    def of_Name(self, node: ast.Name) -> Any:  # noqa: N802
        if node.id in self.variables:
            kind, places = self.variables[node.id]
            types = parts_of(kind)
            parts = [
                self.builder.load(place, typ=part)
                for place, part in zip(places, types, strict=True)
            ]
            return rebuilt(kind, parts)
        if node.id in self.globals:
            return self.globals[node.id]
        builtins = self.globals["__builtins__"]
        known = builtins if isinstance(builtins, dict) else vars(builtins)
        if node.id not in known:
            raise NameError(f"{node.id} has no value yet")
        return known[node.id]

    def of_Tuple(self, node: ast.Tuple) -> tuple[Any, ...]:  # noqa: N802
        items: list[Any] = []
        for item in node.elts:
            if isinstance(item, ast.Starred):
                items += self.value(item.value)
            else:
                items.append(self.value(item))
        return tuple(items)

    def of_Attribute(self, node: ast.Attribute) -> Any:  # noqa: N802
        owner = self.value(node.value)
        if not isinstance(owner, (Array, Number)):
            return getattr(owner, node.attr)
        if isinstance(owner, Number):
            raise AttributeError(f"a number has no {node.attr}")
        if node.attr == "shape":
            return tuple(Number(INT, size) for size in owner.dims)
        if node.attr == "size":
            return self.size(owner)
        if node.attr == "itemsize":
            return owner.element.size
        if node.attr == "dtype":
            return np.dtype(owner.element.name)
        if node.attr == "address":
            return Number(INT, self.builder.ptrtoint(owner.pointer, I64))
        if node.attr in ("reshape", "copy"):
            return _Method(owner, node.attr)
        raise AttributeError(f"an array in a kernel has no {node.attr}")

    def size(self, array: Array) -> Number:
        """How many numbers the array has."""
        total: Any = 1
        for size in array.dims:
            total = self.operation(ast.Mult(), total, Number(INT, size))
        return total if isinstance(total, Number) else Number(INT, ir.Constant(I64, total))

    def indices(self, node: ast.expr) -> list[Any]:
        """The indices in brackets: numbers, or slices with such limits."""
        items = node.elts if isinstance(node, ast.Tuple) else [node]
        found: list[Any] = []
        for item in items:
            if isinstance(item, ast.Slice):
                if item.step is not None:
                    raise _RefusedError("A kernel's slice has no step.")
                limits = (item.lower, item.upper)
                found.append(slice(*[None if e is None else self.value(e) for e in limits]))
            else:
                found.append(self.value(item))
        return found

    def of_Subscript(self, node: ast.Subscript) -> Any:  # noqa: N802
        owner, indices = self.value(node.value), self.indices(node.slice)
        if isinstance(owner, Array):
            if len(indices) == len(owner.dims) and not any(isinstance(i, slice) for i in indices):
                return self.load(owner.element, self.place(owner, indices))
            return self.view(owner, indices)
        (index,) = indices
        if isinstance(index, Number):
            raise TypeError("only a plain number picks from a tuple")
        return owner[index]

    def _check(self, array: Any, indices: list[Any]) -> None:
        """Refuse what can be seen to be wrong while compiling."""
        if not isinstance(array, Array):
            raise _RefusedError(
                "Only arrays and tuples are indexed, and only arrays are written to."
            )
        if len(indices) > len(array.dims):
            raise _RefusedError(f"{len(indices)} indices of an array of {len(array.dims)} axes.")
        for index in indices:
            limits = (index.start, index.stop) if isinstance(index, slice) else (index,)
            for limit in limits:
                if isinstance(limit, int) and limit < 0:
                    raise _RefusedError("A kernel's index does not count from the end.")
                if isinstance(limit, float) or (isinstance(limit, Number) and limit.kind.floating):
                    raise _RefusedError("An index is a whole number.")

    def _offset(self, array: Array, indices: list[Any]) -> Any:
        """Numbers from the array's first one to the one at these indices of its first axes."""
        self._check(array, indices)
        offset: Any = 0
        for axis, size in enumerate(array.dims):
            if offset != 0 or not isinstance(offset, int):
                offset = self.operation(ast.Mult(), offset, Number(INT, size))
            if axis < len(indices):
                offset = self.operation(ast.Add(), offset, indices[axis])
        return self.as_int(offset)

    def place(self, array: Array, indices: list[Any]) -> Any:
        """Where the number, or the part, at these indices begins."""
        offset = self._offset(array, indices)
        return self.builder.gep(array.pointer, [offset], source_etype=array.element.stored)

    def view(self, array: Array, indices: list[Any]) -> Array:
        """The part of an array at these indices; the last one may be a slice."""
        self._check(array, indices)
        *fixed, last = indices
        if any(isinstance(index, slice) for index in fixed):  # it would be no contiguous part
            raise _RefusedError("Only the last index of a kernel's array may be a slice.")
        if not isinstance(last, slice):
            dims = array.dims[len(indices) :]
            return Array(array.element, self.place(array, indices), dims)
        first = 0 if last.start is None else last.start
        whole = Number(INT, array.dims[len(fixed)])
        stop = whole if last.stop is None else last.stop
        length = stop if isinstance(first, int) and first == 0 else None
        if length is None:
            length = self.operation(ast.Sub(), stop, first)
        dims = [self.as_int(length), *array.dims[len(indices) :]]
        return Array(array.element, self.place(array, [*fixed, first]), dims)

    def load(self, element: Scalar, place: Any) -> Number:
        """The number at a place."""
        loaded = self.builder.load(place, typ=element.stored)
        loaded.align = element.size
        if element is BYTE:
            return Number(INT, self.builder.zext(loaded, I64))
        return Number(element, loaded)

    def store(self, element: Scalar, value: Any, place: Any) -> None:
        """Put a number at a place, converted to what the array has."""
        if element is BYTE:
            converted = self.builder.trunc(self.converted(value, INT), I8)
        else:
            converted = self.converted(value, element)
        self.builder.store(converted, place).align = element.size

    def fill(self, array: Array, value: Any) -> None:
        """Set all numbers of an array to a number, or to those of another one."""
        if isinstance(value, Array) and len(value.dims) != len(array.dims):
            axes = len(value.dims), len(array.dims)
            raise _RefusedError(f"An array of {axes[0]} axes does not fill one of {axes[1]}.")
        size, element, build = self.size(array).value, array.element, self.builder
        count = build.mul(size, ir.Constant(I64, element.size), flags=_NO_WRAP)
        if isinstance(value, Array) and value.element is element:
            kind = ir.FunctionType(ir.VoidType(), [POINTER, POINTER, I64, I1])
            move = self.module.declared("llvm.memmove.p0.p0.i64", kind)
            build.call(move, [array.pointer, value.pointer, count, ir.Constant(I1, 0)])
            return
        if not isinstance(value, (Array, Number)) and value == 0:
            kind = ir.FunctionType(ir.VoidType(), [POINTER, I8, I64, I1])
            clear = self.module.declared("llvm.memset.p0.i64", kind)
            build.call(clear, [array.pointer, ir.Constant(I8, 0), count, ir.Constant(I1, 0)])
            return
        if not isinstance(value, Array):
            value = Number(element, self.converted(value, element))
        with self.counted(size) as index:
            place = build.gep(array.pointer, [index], source_etype=element.stored)
            one = value
            if isinstance(value, Array):
                source = build.gep(value.pointer, [index], source_etype=value.element.stored)
                one = self.load(value.element, source)
            self.store(element, one, place)

    def counted(self, count: Any, first: Any = None) -> "_Counted":
        """A loop of `count` rounds, for instructions that are written by hand."""
        return _Counted(self, count, first)

    def of_UnaryOp(self, node: ast.UnaryOp) -> Any:  # noqa: N802
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            truth = self.truth(value)
            return not truth if isinstance(truth, bool) else Number(BOOL, self.builder.not_(truth))
        if not isinstance(node.op, ast.USub):
            raise _RefusedError(f"A kernel has no {ast.unparse(node)}.")
        if not isinstance(value, Number):
            return -value
        if value.kind.floating:
            return Number(value.kind, self.builder.fneg(value.value))
        return self.operation(ast.Sub(), 0, value)

    def of_BinOp(self, node: ast.BinOp) -> Any:  # noqa: N802
        return self.operation(node.op, self.value(node.left), self.value(node.right))

    def operation(self, op: ast.operator, left: Any, right: Any) -> Any:
        """left op right."""
        if not isinstance(left, Number) and not isinstance(right, Number):
            if type(op) not in _PYTHONS:
                raise _RefusedError(f"A kernel has no {type(op).__name__}.")
            return _PYTHONS[type(op)](left, right)
        kind = self.common_kind(left, right)
        if type(op) not in (_OF_FLOATS if kind.floating else _OF_INTS):
            raise _RefusedError(f"A kernel has no {type(op).__name__} of {kind.name}.")
        divides = isinstance(op, (ast.Div, ast.FloorDiv, ast.Mod))
        if divides and not kind.floating and isinstance(right, int) and right == 0:
            raise ZeroDivisionError("division by zero")
        if isinstance(op, ast.Div) and not kind.floating:
            kind = FLOAT64
        a, b = self.converted(left, kind), self.converted(right, kind)
        build = self.builder
        if kind.floating:
            if isinstance(op, ast.Mod):
                return Number(kind, self._floating_remainder(a, b))
            method = {
                ast.Add: build.fadd, ast.Sub: build.fsub, ast.Mult: build.fmul, ast.Div: build.fdiv,
            }[type(op)]  # fmt: skip
            return Number(kind, method(a, b, flags=_FUSED))
        if isinstance(op, (ast.FloorDiv, ast.Mod)):
            return Number(kind, self._divided(op, a, b, right))
        if isinstance(op, (ast.BitAnd, ast.BitOr)):
            return Number(kind, (build.and_ if isinstance(op, ast.BitAnd) else build.or_)(a, b))
        method = {ast.Add: build.add, ast.Sub: build.sub, ast.Mult: build.mul}[type(op)]
        return Number(kind, method(a, b, flags=_NO_WRAP))

    def _divided(self, op: ast.operator, a: Any, b: Any, right: Any) -> Any:
        """Whole numbers, rounded down as in Python."""
        build = self.builder
        if isinstance(right, int) and right > 0 and right & (right - 1) == 0:
            if isinstance(op, ast.Mod):
                return build.and_(a, ir.Constant(I64, right - 1))
            return build.ashr(a, ir.Constant(I64, right.bit_length() - 1))
        remainder = build.srem(a, b)
        zero = ir.Constant(I64, 0)
        # LLVM rounds towards 0: wrong if there is a remainder and the signs differ.
        differ = build.icmp_signed("<", build.xor(remainder, b), zero)
        wrong = build.and_(build.icmp_signed("!=", remainder, zero), differ)
        if isinstance(op, ast.Mod):
            return build.select(wrong, build.add(remainder, b), remainder)
        quotient = build.sdiv(a, b)
        return build.select(wrong, build.sub(quotient, ir.Constant(I64, 1)), quotient)

    def _floating_remainder(self, a: Any, b: Any) -> Any:
        build = self.builder
        remainder = build.frem(a, b)
        zero = ir.Constant(remainder.type, 0.0)
        differ = build.xor(
            build.fcmp_ordered("<", remainder, zero), build.fcmp_ordered("<", b, zero)
        )
        wrong = build.and_(build.fcmp_ordered("!=", remainder, zero), differ)
        return build.select(wrong, build.fadd(remainder, b), remainder)

    def common_kind(self, left: Any, right: Any) -> Scalar:
        """The kind in which two values meet."""
        kinds = [v.kind for v in (left, right) if isinstance(v, Number)]
        plain = [v for v in (left, right) if not isinstance(v, Number)]
        if len(kinds) == 2 and BOOL in kinds:  # which any other kind takes in
            kinds.remove(BOOL)
            kinds *= 2
        kinds = [INT if kind in (BYTE, BOOL) else kind for kind in kinds]
        if plain:
            if isinstance(plain[0], float) and not kinds[0].floating:
                return FLOAT64
            return kinds[0]
        if kinds[0] is kinds[1]:
            return kinds[0]
        return FLOAT64  # of int64 and float32, too, as in NumPy

    def converted(self, value: Any, kind: Scalar) -> Any:
        """The LLVM value of a number as this kind."""
        if not isinstance(value, Number):
            if isinstance(value, np.generic):
                value = value.item()
            if not isinstance(value, (int, float)):
                raise TypeError(f"expected a number, found {value!r}")
            return ir.Constant(kind.ir, float(value) if kind.floating else int(value))
        own, build = value.kind, self.builder
        if own is kind or own.ir == kind.ir:
            return value.value
        if kind is BOOL:
            return self.truth(value)
        if own is BOOL:
            value, own = Number(INT, build.zext(value.value, I64)), INT
            if not kind.floating:
                return value.value
        if own.floating and kind.floating:
            return (build.fpext if kind.size > own.size else build.fptrunc)(value.value, kind.ir)
        if own.floating:
            return build.fptosi(value.value, kind.ir)
        return build.sitofp(value.value, kind.ir)

    def as_int(self, value: Any) -> Any:
        """The LLVM value of a whole number."""
        return self.converted(value, INT)

    def of_Compare(self, node: ast.Compare) -> Any:  # noqa: N802
        values = [self.value(node.left)]
        result: Any = None
        for op, right in zip(node.ops, node.comparators, strict=True):
            values.append(self.value(right))
            found = self._compared(op, *values[-2:])
            result = found if result is None else self._both(result, found)
        return result

    def _both(self, one: Any, other: Any) -> Any:
        if isinstance(one, bool):
            return other if one else False
        if isinstance(other, bool):
            return one if other else False
        return Number(BOOL, self.builder.and_(one.value, other.value))

    def _compared(self, op: ast.cmpop, left: Any, right: Any) -> Any:
        if isinstance(left, tuple) and isinstance(right, tuple):
            if not isinstance(op, ast.Eq):
                raise _RefusedError("Of tuples a kernel asks only whether they are equal.")
            result: Any = len(left) == len(right)
            for a, b in zip(left, right):
                result = self._both(result, self._compared(op, a, b))
            return result
        if type(op) not in _COMPARISONS:
            raise _RefusedError(f"A kernel has no {type(op).__name__}.")
        if isinstance(left, Array) or isinstance(right, Array):
            raise _RefusedError("A kernel compares numbers, no arrays.")
        if not isinstance(left, Number) and not isinstance(right, Number):
            return bool(_COMPARISONS[type(op)][1](left, right))
        symbol = _COMPARISONS[type(op)][0]
        kind = self.common_kind(left, right)
        a, b = self.converted(left, kind), self.converted(right, kind)
        if not kind.floating:
            return Number(BOOL, self.builder.icmp_signed(symbol, a, b))
        compare = self.builder.fcmp_unordered if symbol == "!=" else self.builder.fcmp_ordered
        return Number(BOOL, compare(symbol, a, b))

    def truth(self, value: Any) -> Any:
        """Whether a value is true: a bool while compiling, or an LLVM value."""
        if isinstance(value, Array):
            raise _RefusedError("An array is neither true nor false.")
        if not isinstance(value, Number):
            return bool(value)
        if value.kind is BOOL:
            return value.value
        if value.kind.floating:
            zero = ir.Constant(value.kind.ir, 0.0)
            return self.builder.fcmp_unordered("!=", value.value, zero)
        return self.builder.icmp_signed("!=", value.value, ir.Constant(I64, 0))

    def as_bool(self, value: Any) -> Any:
        """The LLVM value of whether it is true."""
        truth = self.truth(value)
        return ir.Constant(I1, int(truth)) if isinstance(truth, bool) else truth

    def of_BoolOp(self, node: ast.BoolOp) -> Any:  # noqa: N802
        stops = isinstance(node.op, ast.Or)  # the truth at which the rest is not looked at
        known: Any = not stops
        rest = list(node.values)
        while rest:
            truth = self.truth(self.value(rest[0]))
            if not isinstance(truth, bool):
                break
            if truth is stops:
                return stops
            rest.pop(0)
        else:
            return known
        found = self.alloca(I1)
        after = self.function.append_basic_block()
        self.builder.store(truth, found)
        for other in rest[1:]:
            further = self.function.append_basic_block()
            branches = (after, further) if stops else (further, after)
            self.builder.cbranch(self.builder.load(found, typ=I1), *branches)
            self.builder.position_at_end(further)
            self.builder.store(self.as_bool(self.value(other)), found)
        self.builder.branch(after)
        self.builder.position_at_end(after)
        return Number(BOOL, self.builder.load(found, typ=I1))

    def of_IfExp(self, node: ast.IfExp) -> Any:  # noqa: N802
        test = self.truth(self.value(node.test))
        if isinstance(test, bool):
            return self.value(node.body if test else node.orelse)
        then, otherwise, after = (self.function.append_basic_block() for _ in range(3))
        self.builder.cbranch(test, then, otherwise)
        results = []
        for start, expression in ((then, node.body), (otherwise, node.orelse)):
            self.builder.position_at_end(start)
            results.append((self.value(expression), self.builder.block))
        values = [value for value, _ in results]
        if all(isinstance(v, (Number, int, float)) for v in values):
            kinds = [kind_of(value) for value in values]
            if kinds[0] == kinds[1]:
                kind: Any = kinds[0]
            elif any(isinstance(v, Number) for v in values):
                kind = self.common_kind(*values)
            else:  # of two plain numbers
                kind = FLOAT64 if FLOAT64 in kinds else INT
        else:
            kind, other = map(kind_of, values)
            if kind != other:
                raise TypeError(f"either {name_of(kind)} or {name_of(other)}")
        places = [self.alloca(part) for part in parts_of(kind)]
        for value, block in results:
            self.builder.position_at_end(block)
            parts = [self.converted(value, kind)] if isinstance(kind, Scalar) else flattened(value)
            for part, place in zip(parts, places, strict=True):
                self.builder.store(part, place)
            self.builder.branch(after)
        self.builder.position_at_end(after)
        types = parts_of(kind)
        return rebuilt(
            kind, [self.builder.load(p, typ=t) for p, t in zip(places, types, strict=True)]
        )

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
        if isinstance(function, _Method):
            return self._method(function, arguments)
        if isinstance(function, type) and issubclass(function, np.generic):
            return self._cast(BY_DTYPE[np.dtype(function)], arguments[0])
        known = _CALLS.get(function)
        if known is None:
            raise _RefusedError(f"A kernel cannot call {ast.unparse(node.func)}.")
        return known(self, *arguments)

    def arguments(self, node: ast.Call) -> list[Any]:
        """The values of a call's arguments."""
        if node.keywords:
            raise _RefusedError(f"A kernel names no arguments: {ast.unparse(node)}.")
        return list(self.of_Tuple(ast.Tuple(node.args, ast.Load())))

    def _cast(self, kind: Scalar, value: Any) -> Number:
        return Number(kind, self.converted(value, kind))

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

    def _method(self, method: "_Method", arguments: list[Any]) -> Any:
        array = method.owner
        if method.name == "reshape":
            sizes = list(arguments[0]) if isinstance(arguments[0], tuple) else arguments
            if sizes == [-1]:
                sizes = [self.size(array)]
            if any(isinstance(size, int) and size < 0 for size in sizes):
                raise _RefusedError("Only reshape(-1), of one axis, is computed.")
            return Array(array.element, array.pointer, [self.as_int(size) for size in sizes])
        raise AttributeError(method.name)

    def empty(self, shape: Any, dtype: Any = np.float64) -> Array:
        """A new array in the thread's scratch memory."""
        element = BY_DTYPE[np.dtype(dtype)]
        sizes = shape if isinstance(shape, tuple) else (shape,)
        dims = [self.as_int(size) for size in sizes]
        build = self.builder
        count = self.size(Array(element, None, dims)).value
        needed = build.mul(count, ir.Constant(I64, element.size), flags=_NO_WRAP)
        padded = build.and_(
            build.add(needed, ir.Constant(I64, _ALIGNMENT - 1)), ir.Constant(I64, -_ALIGNMENT)
        )
        extra = self.alloca(POINTER)
        self.entry_builder.store(ir.Constant(POINTER, None), extra)
        self._extra.append(extra)
        pointer = self.alloca(POINTER)
        begin = build.load(self.scratch, typ=I64)
        stop = build.add(begin, padded)
        fits, too_large, after = (self.function.append_basic_block() for _ in range(3))
        build.cbranch(build.icmp_signed("<=", stop, self.end), fits, too_large)
        build.position_at_end(fits)
        build.store(stop, self.scratch)
        build.store(build.inttoptr(begin, POINTER), pointer)
        build.branch(after)
        build.position_at_end(too_large)
        self._free(build.load(extra, typ=POINTER))
        allocate = self.module.declared("malloc", ir.FunctionType(POINTER, [I64]))
        build.store(build.call(allocate, [padded]), extra)
        build.store(build.load(extra, typ=POINTER), pointer)
        build.branch(after)
        build.position_at_end(after)
        return Array(element, self._nothing_elses(build.load(pointer, typ=POINTER)), dims)

    def _nothing_elses(self, pointer: Any) -> Any:
        """The same pointer, of which LLVM knows that no other one leads to the same memory."""
        name = "new memory"
        target = self.module.ir.globals.get(name)
        if target is None:
            target = ir.Function(self.module.ir, ir.FunctionType(POINTER, [POINTER]), name)
            target.linkage = "internal"
            target.attributes.add("noinline")
            target.return_value.add_attribute("noalias")
            builder = ir.IRBuilder(target.append_basic_block())
            # Else LLVM would see that it is the same pointer.
            kept = builder.alloca(POINTER)
            builder.store(target.args[0], kept)
            builder.ret(builder.load_atomic(kept, "monotonic", 8, typ=POINTER))
        return self.builder.call(target, [pointer])

    def _free(self, pointer: Any) -> None:
        free = self.module.declared("free", ir.FunctionType(ir.VoidType(), [POINTER]))
        self.builder.call(free, [pointer])


class _Method:
    def __init__(self, owner: Array, name: str) -> None:
        self.owner, self.name = owner, name


class _Counted:
    """A loop from `first`, or 0, up to `count`; its index is an LLVM value."""

    def __init__(self, compiler: Compiler, count: Any, first: Any = None) -> None:
        self.compiler, self.count = compiler, count
        self.first = ir.Constant(I64, 0) if first is None else first

    def __enter__(self) -> Any:
        build, function = self.compiler.builder, self.compiler.function
        self.counter = self.compiler.alloca(I64)
        build.store(self.first, self.counter)
        self.before, body, self.after = (function.append_basic_block() for _ in range(3))
        build.branch(self.before)
        build.position_at_end(self.before)
        index = build.load(self.counter, typ=I64)
        build.cbranch(build.icmp_signed("<", index, self.count), body, self.after)
        build.position_at_end(body)
        self.index = index
        return index

    def __exit__(self, *problem: Any) -> None:
        build = self.compiler.builder
        further = build.add(self.index, ir.Constant(I64, 1), flags=_NO_WRAP)
        build.store(further, self.counter)
        build.branch(self.before)
        build.position_at_end(self.after)


# -- functions in modules --------------------------------------------------------------------------


def _signature(python: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(python).parameters)


def inner_function(
    module: Module, function: Function, kinds: tuple[Kind, ...]
) -> tuple[ir.Function, Kind | None]:
    """The function for arguments of these kinds, as part of the module, and what it returns."""
    key = function, kinds
    if key not in module.functions:
        types = [POINTER, I64, I64, *[part for kind in kinds for part in parts_of(kind)]]
        if key in module.begun:
            raise _RefusedError(
                f"{function.__name__} calls itself, which no kernel's function may."
            )
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
    """A separate function for this kind of number, as a module of its own."""
    target = ir.Function(module.ir, _whole_numbers(function.count), module.ir.name)
    compiler = Compiler(module, None)
    compiler.begin(target)
    function.write(compiler, element, *target.args)
    compiler.builder.ret_void()
    compiler.entry_builder.branch(compiler._body)


# NumPy's arrays in memory, as its C interface has them (`PyArrayObject_fields`): behind what every
# object begins with, the address of the numbers, how many axes (4 bytes and 4 unused), and the
# address of the axes' lengths.
_DATA = object.__basicsize__ // 8
_LENGTHS = _DATA + 2


def kernel_function(module: Module, python: Callable[..., Any], kinds: tuple[Kind, ...]) -> None:
    """A kernel as the scheduler calls it: (record, task, scratch, end of scratch).

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
    """A function that Python calls with whole numbers, the last one the address of a context."""
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


# -- what Python's own functions are in a kernel ---------------------------------------------------


def _minimum(compiler: Compiler, *values: Any) -> Any:
    return _extreme(compiler, "<", values)


def _maximum(compiler: Compiler, *values: Any) -> Any:
    return _extreme(compiler, ">", values)


def _extreme(compiler: Compiler, symbol: str, values: tuple[Any, ...]) -> Any:
    if len(values) == 1 and isinstance(values[0], tuple):
        (values,) = values
    best = values[0]
    for other in values[1:]:
        if not isinstance(best, Number) and not isinstance(other, Number):
            best = min(best, other) if symbol == "<" else max(best, other)
            continue
        kind = compiler.common_kind(best, other)
        a, b = compiler.converted(best, kind), compiler.converted(other, kind)
        build = compiler.builder
        compare = build.fcmp_ordered if kind.floating else build.icmp_signed
        best = Number(kind, build.select(compare(symbol, b, a), b, a))
    return best


def _length(compiler: Compiler, value: Any) -> Any:
    return Number(INT, value.dims[0]) if isinstance(value, Array) else len(value)


def _absolute(compiler: Compiler, value: Any) -> Any:
    if not isinstance(value, Number):
        return abs(value)
    kind = value.kind
    if kind.floating:
        function = compiler.module.ir.declare_intrinsic("llvm.fabs", [kind.ir])
        return Number(kind, compiler.builder.call(function, [value.value]))
    negative = compiler.operation(ast.Sub(), 0, value)
    return _maximum(compiler, value, negative)


def _square_root(compiler: Compiler, value: Any) -> Any:
    if not isinstance(value, Number):
        return math.sqrt(value)
    kind = value.kind if value.kind.floating else FLOAT64
    function = compiler.module.ir.declare_intrinsic("llvm.sqrt", [kind.ir])
    return Number(kind, compiler.builder.call(function, [compiler.converted(value, kind)]))


def _zeros(compiler: Compiler, shape: Any, dtype: Any = np.float64) -> Array:
    array = compiler.empty(shape, dtype)
    compiler.fill(array, 0)
    return array


_CALLS: dict[Any, Callable[..., Any]] = {
    min: _minimum,
    max: _maximum,
    len: _length,
    abs: _absolute,
    int: lambda compiler, value: compiler._cast(INT, value),
    float: lambda compiler, value: compiler._cast(FLOAT64, value),
    math.sqrt: _square_root,
    np.empty: lambda compiler, shape, dtype=np.float64: compiler.empty(shape, dtype),
    np.zeros: _zeros,
}

_OF_FLOATS = {ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod}
_OF_INTS = {*_OF_FLOATS, ast.FloorDiv, ast.BitAnd, ast.BitOr}
_PYTHONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.Pow: lambda a, b: a**b,
}

_COMPARISONS: dict[type, tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Lt: ("<", lambda a, b: a < b),
    ast.LtE: ("<=", lambda a, b: a <= b),
    ast.Gt: (">", lambda a, b: a > b),
    ast.GtE: (">=", lambda a, b: a >= b),
    ast.Eq: ("==", lambda a, b: a == b),
    ast.NotEq: ("!=", lambda a, b: a != b),
}
