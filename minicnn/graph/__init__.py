"""Graphs of layers: a value to run, to go back through, and to make other graphs of."""

from minicnn.graph.graph import Graph
from minicnn.graph.network import Network
from minicnn.graph.tape import BackwardStep, Tape, TapeEntry, Visitor

__all__ = ["BackwardStep", "Graph", "Network", "Tape", "TapeEntry", "Visitor"]
