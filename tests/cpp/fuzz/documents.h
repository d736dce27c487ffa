// What the fuzzer begins with: schemas of every layout and dtype, and good documents for them.
#pragma once

#include <string>

#include "fuzz/tokens.h"
#include "wire/input_schema.h"

namespace fuzz {

slipstream::InputSchema random_schema(Random& random);

// A document that fits the schema, except that a few of its values do not.
std::string random_document(const slipstream::InputSchema& schema, Random& random);

}  // namespace fuzz
