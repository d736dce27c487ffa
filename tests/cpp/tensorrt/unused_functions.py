"""Writes a header in which TensorRT's classes behind its classes have all their functions.

What a runtime implements are pure virtual functions, more with every version. The fake runtime of
the tests has the few that the backend calls; this gives it the others, of whatever version the
headers are that the backend is compiled against: each does nothing.

Usage: unused_functions.py NvInferImpl.h OUTPUT
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CLASSES = ("VRuntime", "VCudaEngine", "VExecutionContext")
FUNCTION = re.compile(r"virtual\s+([^;{}]+?)(\w+)\(([^;{}]*?)\)\s*(const)?\s*(noexcept)?\s*=\s*0;")


def stub(name: str, body: str) -> str:
    """A class that derives from that one of TensorRT's, and does nothing."""
    lines = [f"class Unused{name} : public nvinfer1::apiv::{name} {{", " public:"]
    for result, function, parameters, *qualifiers in FUNCTION.findall(body):
        wanted = result.replace("TRT_NODISCARD", "").strip()
        qualified = " ".join([wanted, f"{function}({' '.join(parameters.split())})", *qualifiers])
        does = "__builtin_trap();" if wanted.endswith("&") else "return {};"
        lines.append(f"  {qualified} override {{ {does if wanted != 'void' else ''} }}")
    return "\n".join([*lines, "};"])


def main() -> None:
    """The command line."""
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    stubs = []
    for name in CLASSES:
        found = re.search(rf"class {name} : public VRoot\s*\{{(.*?)\n\}};", text, re.DOTALL)
        if found is None:
            sys.exit(f"{sys.argv[1]} has no class {name}: the fake runtime must learn its layout")
        stubs.append(stub(name, found[1]))
    Path(sys.argv[2]).write_text(
        "// Made by unused_functions.py of TensorRT's headers.\n#pragma once\n\n"
        "#include <NvInferRuntime.h>\n\nnamespace nvinfer1::fake {\n\n"
        + "\n\n".join(stubs)
        + "\n\n}  // namespace nvinfer1::fake\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
