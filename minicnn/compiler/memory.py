"""Arrays in a kernel: where their numbers lie, views of them, and new ones in scratch memory."""

import ast
from typing import Any

import numpy as np
from llvmlite import ir

from minicnn.compiler.arithmetic import NO_WRAP, Arithmetic
from minicnn.compiler.language import RefusedError
from minicnn.compiler.values import (
    BY_DTYPE,
    BYTE,
    I1,
    I8,
    I64,
    INT,
    POINTER,
    Array,
    Number,
    Scalar,
)

_ALIGNMENT = 64  # bytes, of scratch


class Memory(Arithmetic):
    """Writes the instructions of one function, with its arrays."""

    scratch: Any  # where the rest of the thread's scratch memory begins: a place in the frame
    end: Any  # and where it ends

    def size(self, array: Array) -> Number:
        """Return how many numbers the array has."""
        total: Any = 1
        for size in array.dims:
            total = self.operation(ast.Mult(), total, Number(INT, size))
        return total if isinstance(total, Number) else Number(INT, ir.Constant(I64, total))

    def check_indices(self, array: Any, indices: list[Any]) -> None:
        """Refuse indices that are seen to be wrong while compiling."""
        if not isinstance(array, Array):
            raise RefusedError(
                "Only arrays and tuples are indexed, and only arrays are written to."
            )
        if len(indices) > len(array.dims):
            raise RefusedError(f"{len(indices)} indices for an array of {len(array.dims)} axes.")
        for index in indices:
            limits = (index.start, index.stop) if isinstance(index, slice) else (index,)
            for limit in limits:
                if isinstance(limit, int) and limit < 0:
                    raise RefusedError("A kernel's index cannot count from the end.")
                if isinstance(limit, float) or (isinstance(limit, Number) and limit.kind.floating):
                    raise RefusedError("An index must be a whole number.")

    def _offset(self, array: Array, indices: list[Any]) -> Any:
        """Count the numbers before the one at these indices of the array's first axes."""
        self.check_indices(array, indices)
        offset: Any = 0
        for axis, size in enumerate(array.dims):
            if offset != 0 or not isinstance(offset, int):
                offset = self.operation(ast.Mult(), offset, Number(INT, size))
            if axis < len(indices):
                offset = self.operation(ast.Add(), offset, indices[axis])
        return self.as_int(offset)

    def place(self, array: Array, indices: list[Any]) -> Any:
        """Return where the number, or the part, at these indices begins."""
        offset = self._offset(array, indices)
        return self.builder.gep(array.pointer, [offset], source_etype=array.element.stored)

    def view(self, array: Array, indices: list[Any]) -> Array:
        """Return the part of an array at these indices; the last one may be a slice."""
        self.check_indices(array, indices)
        *fixed, last = indices
        if any(isinstance(index, slice) for index in fixed):  # the part would not be contiguous
            raise RefusedError("Only the last index of a kernel's array may be a slice.")
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
        """Return the number at a place."""
        loaded = self.builder.load(place, typ=element.stored)
        loaded.align = element.size
        if element is BYTE:
            return Number(INT, self.builder.zext(loaded, I64))
        return Number(element, loaded)

    def store(self, element: Scalar, value: Any, place: Any) -> None:
        """Store a number at a place, converted to the array's kind."""
        if element is BYTE:
            converted = self.builder.trunc(self.converted(value, INT), I8)
        else:
            converted = self.converted(value, element)
        self.builder.store(converted, place).align = element.size

    def fill(self, array: Array, value: Any) -> None:
        """Set all numbers of an array to a number, or to those of another one."""
        if isinstance(value, Array) and len(value.dims) != len(array.dims):
            axes = len(value.dims), len(array.dims)
            raise RefusedError(f"An array of {axes[0]} axes does not fill one of {axes[1]}.")
        size, element, build = self.size(array).value, array.element, self.builder
        count = build.mul(size, ir.Constant(I64, element.size), flags=NO_WRAP)
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
        """Write a loop of `count` rounds around instructions that the caller writes."""
        return _Counted(self, count, first)

    def empty(self, shape: Any, dtype: Any = np.float64) -> Array:
        """Return a new array in the thread's scratch memory."""
        element = BY_DTYPE[np.dtype(dtype)]
        sizes = shape if isinstance(shape, tuple) else (shape,)
        dims = [self.as_int(size) for size in sizes]
        build = self.builder
        count = self.size(Array(element, None, dims)).value
        needed = build.mul(count, ir.Constant(I64, element.size), flags=NO_WRAP)
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
        self.free(build.load(extra, typ=POINTER))
        allocate = self.module.declared("malloc", ir.FunctionType(POINTER, [I64]))
        build.store(build.call(allocate, [padded]), extra)
        build.store(build.load(extra, typ=POINTER), pointer)
        build.branch(after)
        build.position_at_end(after)
        return Array(element, self._nothing_elses(build.load(pointer, typ=POINTER)), dims)

    def _nothing_elses(self, pointer: Any) -> Any:
        """Return the same pointer, marked for LLVM: no other one leads to the same memory."""
        name = "new memory"
        target = self.module.ir.globals.get(name)
        if target is None:
            target = ir.Function(self.module.ir, ir.FunctionType(POINTER, [POINTER]), name)
            target.linkage = "internal"
            target.attributes.add("noinline")
            target.return_value.add_attribute("noalias")
            builder = ir.IRBuilder(target.append_basic_block())
            # Otherwise LLVM would see that it is the same pointer.
            kept = builder.alloca(POINTER)
            builder.store(target.args[0], kept)
            builder.ret(builder.load_atomic(kept, "monotonic", 8, typ=POINTER))
        return self.builder.call(target, [pointer])

    def free(self, pointer: Any) -> None:
        free = self.module.declared("free", ir.FunctionType(ir.VoidType(), [POINTER]))
        self.builder.call(free, [pointer])


class _Counted:
    """A loop from `first`, or 0, up to `count`; its index is an LLVM value."""

    def __init__(self, compiler: Memory, count: Any, first: Any = None) -> None:
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
        further = build.add(self.index, ir.Constant(I64, 1), flags=NO_WRAP)
        build.store(further, self.counter)
        build.branch(self.before)
        build.position_at_end(self.after)
