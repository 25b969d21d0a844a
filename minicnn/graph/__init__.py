"""Graphs of layers: values that run forward and backward and are rewritten into other graphs."""

from minicnn.graph.graph import Graph
from minicnn.graph.network import Network
from minicnn.graph.tape import BackwardStep, Tape, TapeEntry, Visitor

__all__ = ["BackwardStep", "Graph", "Network", "Tape", "TapeEntry", "Visitor"]
