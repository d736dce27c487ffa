#include "wire/place.h"

#include "wire/message.h"

namespace slipstream::wire {

std::string place_of(const InputSchema& schema, const TensorSpec& input, Role role,
                     std::size_t rank, std::span<const std::int64_t> index) {
  std::string text;
  std::size_t axis = 0;
  if (role == Role::kTensor) {
    text = "input " + quoted(input.name);
  } else if (index.empty()) {
    text = "data";
  } else {
    text = "row " + std::to_string(index[axis++]);
    if (index.size() == 2 && rank == 2) {
      const auto column = static_cast<std::size_t>(index[1]);
      text += ", column ";
      text += column < schema.column_names.size() ? quoted(schema.column_names[column])
                                                  : std::to_string(column);
      return text;
    }
  }
  for (const char* separator = " at ["; axis < index.size(); ++axis, separator = "[") {
    text += separator + std::to_string(index[axis]) + "]";
  }
  return text;
}

}  // namespace slipstream::wire
