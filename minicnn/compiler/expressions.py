"""Expressions of a kernel: each becomes instructions, and has a value."""

import ast
from typing import Any

import numpy as np

from minicnn.compiler.language import RefusedError
from minicnn.compiler.memory import Memory
from minicnn.compiler.values import (
    BOOL,
    FLOAT64,
    I1,
    I64,
    INT,
    Array,
    Number,
    Scalar,
    flattened,
    kind_of,
    name_of,
    parts_of,
    rebuilt,
)


class Method:
    """A method of an array, before it is called."""

    def __init__(self, owner: Array, name: str) -> None:
        self.owner, self.name = owner, name


class Expressions(Memory):
    """Writes the instructions of one function, with its expressions."""

    def value(self, node: ast.expr) -> Any:
        """Return an expression's value: a `Number`, an `Array`, a tuple, or a Python object."""
        method = getattr(self, f"of_{type(node).__name__}", None)
        if method is None:
            raise RefusedError(f"A kernel has no {type(node).__name__}: {ast.unparse(node)}.")
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
        if node.attr == "reshape":
            return Method(owner, node.attr)
        raise AttributeError(f"an array in a kernel has no {node.attr}")

    def indices(self, node: ast.expr) -> list[Any]:
        """Return the indices in brackets: numbers, or slices with such limits."""
        items = node.elts if isinstance(node, ast.Tuple) else [node]
        found: list[Any] = []
        for item in items:
            if isinstance(item, ast.Slice):
                if item.step is not None:
                    raise RefusedError("A kernel's slice has no step.")
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

    def of_UnaryOp(self, node: ast.UnaryOp) -> Any:  # noqa: N802
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            truth = self.truth(value)
            return not truth if isinstance(truth, bool) else Number(BOOL, self.builder.not_(truth))
        if not isinstance(node.op, ast.USub):
            raise RefusedError(f"A kernel has no {ast.unparse(node)}.")
        if not isinstance(value, Number):
            return -value
        if value.kind.floating:
            return Number(value.kind, self.builder.fneg(value.value))
        return self.operation(ast.Sub(), 0, value)

    def of_BinOp(self, node: ast.BinOp) -> Any:  # noqa: N802
        return self.operation(node.op, self.value(node.left), self.value(node.right))

    def of_Compare(self, node: ast.Compare) -> Any:  # noqa: N802
        values = [self.value(node.left)]
        result: Any = None
        for op, right in zip(node.ops, node.comparators, strict=True):
            values.append(self.value(right))
            found = self.compared(op, *values[-2:])
            result = found if result is None else self.both(result, found)
        return result

    def of_BoolOp(self, node: ast.BoolOp) -> Any:  # noqa: N802
        stops = isinstance(node.op, ast.Or)  # once this value is reached, the rest is not evaluated
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
