// What the fuzzer of forest files begins with: random programs that are right, of every op.
//
// Threads: one. The same generator state gives the same file.
#pragma once

#include <string>

#include "fuzz/tokens.h"

namespace fuzz {

// A whole, valid file: some inputs, trees, steps of all sorts, some outputs.
std::string random_forest_file(Random& random);

}  // namespace fuzz
