"""The processor that kernels are compiled for, and machine code: made, and loaded.

By default kernels are compiled for the processor that runs them. `MINICNN_CPU` names a level of
x86-64 instead (`x86-64-v3`), whose code runs on every machine that has at least its features. A
folder of kernels that `minicnn compile --cpu` filled has the name of the level in a file called
`processor`.
"""

import functools
import os
import threading
from pathlib import Path
from typing import NamedTuple

import llvmlite.binding as llvm

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()

_loading = threading.Lock()


class Processor(NamedTuple):
    """What LLVM compiles for: a system, a processor's name, and its features."""

    triple: str
    name: str
    features: str

    def has(self, feature: str) -> bool:
        """Return whether the processor has vectors of this kind, such as "avx2"."""
        return f"+{feature}" in self.features.split(",")


@functools.cache
def processor() -> Processor:
    """Return the processor to compile for."""
    triple, found = llvm.get_process_triple(), llvm.get_host_cpu_features() or {}
    name = os.environ.get("MINICNN_CPU", "")
    if name:
        check_level(name)
    else:
        name = _level_of_folder()
        if name and missing(name):
            name = ""  # the folder is for a machine that can do more
    if name:
        return Processor(triple, name, _LEVELS[name])
    features = ",".join(f"{'+' if there else '-'}{one}" for one, there in sorted(found.items()))
    return Processor(triple, llvm.get_host_cpu_name(), features)


# What a processor of each level of x86-64 can do besides x86-64 itself, in LLVM's words (the
# "microarchitecture levels" of the x86-64 psABI).
_SECOND = "+cx16,+popcnt,+sahf,+sse3,+sse4.1,+sse4.2,+ssse3"
_THIRD = f"{_SECOND},+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe,+xsave"
_FOURTH = f"{_THIRD},+avx512bw,+avx512cd,+avx512dq,+avx512f,+avx512vl"
_LEVELS = {"x86-64": "", "x86-64-v2": _SECOND, "x86-64-v3": _THIRD, "x86-64-v4": _FOURTH}
LEVELS = tuple(_LEVELS)


def missing(level: str) -> list[str]:
    """Return the features of this level of x86-64 that this machine does not have."""
    found = llvm.get_host_cpu_features() or {}
    wanted = [feature.lstrip("+") for feature in _LEVELS[level].split(",") if feature]
    return [feature for feature in wanted if not found.get(feature, False)]


def check_level(name: str) -> None:
    """Raise a `ValueError` unless this machine runs code for this level of x86-64."""
    if name not in _LEVELS:
        raise ValueError(f"MINICNN_CPU expects one of {', '.join(_LEVELS)}. Received {name}.")
    lacking = missing(name)
    if lacking or not llvm.get_process_triple().startswith("x86_64"):
        raise ValueError(
            f"MINICNN_CPU={name} is for processors with features that this one lacks"
            f"{': ' if lacking else ''}{', '.join(lacking)}."
        )


def _level_of_folder() -> str:
    """Return the level that the folder of `MINICNN_CACHE_DIR` was filled for, or nothing."""
    folder = os.environ.get("MINICNN_CACHE_DIR", "")
    try:
        name = (Path(folder) / "processor").read_text().strip() if folder else ""
    except (OSError, UnicodeDecodeError):
        return ""
    known = name in _LEVELS and llvm.get_process_triple().startswith("x86_64")
    return name if known else ""


@functools.cache
def level_1_ways() -> int:
    """Return the associativity of a core's level-1 cache: lines per set; 8 if it is unknown."""
    try:
        return int(
            Path("/sys/devices/system/cpu/cpu0/cache/index0/ways_of_associativity").read_text()
        )
    except (OSError, ValueError):
        return 8


@functools.cache
def _target_machine() -> llvm.TargetMachine:
    wanted = processor()
    target = llvm.Target.from_triple(wanted.triple)
    # Where many libraries are loaded, machine code and what it calls may lie more than 2 GB apart:
    # addresses have all their bits ("jitdefault").
    return target.create_target_machine(
        cpu=wanted.name,
        features=wanted.features,
        opt=3,
        reloc="static" if wanted.triple.startswith("x86_64") else "default",
        codemodel="jitdefault",
        jit=True,
    )


def machine_code(text: str, vectorize: bool) -> bytes:
    """Return the object code of a module in LLVM's language.

    With `vectorize`, LLVM optimizes as much as it can, and vectorizes loops. Most kernels only
    prepare the work of functions whose vectors are written out, such as the microkernel: for them a
    few passes are enough, and take a seventh of the time.
    """
    module = llvm.parse_assembly(text)
    module.triple = processor().triple
    module.data_layout = str(_target_machine().target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = True
    builder = llvm.create_pass_builder(_target_machine(), options)
    passes = builder.getModulePassManager() if vectorize else _few_passes()
    passes.run(module, builder)
    code: bytes = _target_machine().emit_object(module)
    return code


def _few_passes() -> llvm.ModulePassManager:
    """Return passes that use registers for variables, inline functions, simplify instructions."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_simplify_cfg_pass()
    passes.add_sroa_pass()
    passes.add_always_inliner_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.add_loop_simplify_pass()
    passes.add_loop_rotate_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    return passes


@functools.cache
def _engine() -> llvm.ExecutionEngine:
    empty = llvm.parse_assembly("")
    empty.triple = processor().triple
    # The parts of a function side by side, which also lie less than 2 GB apart so.
    return llvm.create_mcjit_compiler(empty, _target_machine(), use_lmm=True)


def load(code: bytes, name: str) -> int:
    """Load object code into this process; return the address of the function of this name."""
    with _loading:
        engine = _engine()
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        address: int = engine.get_function_address(name)
        llvm.add_symbol(name, address)  # for functions that call it
    return address
