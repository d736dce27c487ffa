// The documents that the load driver sends, with the right answer to each.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "wire/input_schema.h"

namespace slipstream::load {

struct Body {
  std::string json;
  // What the model answers when it is asked this alone; empty for a document that must be refused.
  std::vector<Tensor> answer;
};

struct Bodies {
  InputSchema schema;
  std::vector<Body> all;
};

// For the run's target (conformance/target.h): `count` good documents of one to five rows, and a
// bad one behind every seventh.
[[nodiscard]] Bodies make_bodies(std::size_t count);

}  // namespace slipstream::load
