// The report of a run: one line of JSON, times in nanoseconds.
//
// Threads: one. Ownership: none. Failure: none.
#pragma once

#include <string>

#include "runner.h"

namespace slipstream::load {

[[nodiscard]] std::string report(const Runner& runner);

}  // namespace slipstream::load
