// Mutations that keep enough structure to get past the first byte.
#pragma once

#include <string>

#include "fuzz/tokens.h"

namespace fuzz {

// Changes number tokens, brackets, quotes, slices, bytes, or truncates; `other` is spliced in at
// times.
void mutate(std::string& document, const std::string& other, Random& random);

}  // namespace fuzz
