// One step at a time: a program of it alone, run on tensors given.
//
// Threads: one. Failure: run_step fails the test when the program does not load.
#pragma once

#include <bit>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "forest/forest_writer.h"
#include "forest/loaded.h"
#include "harness.h"

namespace slipstream::forest {

inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
inline constexpr double kInf = std::numeric_limits<double>::infinity();

// Inputs of the given tensors, the step, its value as the output.
inline std::string step_file(Op op, const std::vector<Tensor>& inputs,
                             const std::vector<WrittenArray>& arrays,
                             const std::vector<double>& scalars) {
  ForestWriter writer;
  std::vector<std::uint32_t> ids;
  for (const Tensor& input : inputs) {
    ids.push_back(writer.input("x" + std::to_string(ids.size()), input.dtype(),
                               static_cast<std::uint32_t>(input.shape()[1])));
  }
  writer.output("y", writer.step(op, ids, arrays, scalars));
  return writer.bytes();
}

inline Tensor run_step(Op op, const std::vector<Tensor>& inputs,
                       const std::vector<WrittenArray>& arrays = {},
                       const std::vector<double>& scalars = {}) {
  const Loaded loaded(step_file(op, inputs, arrays, scalars));
  CHECK_EQ(loaded.status().message(), "");
  REQUIRE(loaded.status().is_ok());
  return loaded.run(inputs)[0];
}

// Why the step is refused; "" when it is not.
inline std::string refusal(Op op, const std::vector<Tensor>& inputs,
                           const std::vector<WrittenArray>& arrays = {},
                           const std::vector<double>& scalars = {}) {
  return Loaded(step_file(op, inputs, arrays, scalars)).status().message();
}

// The elements, with NaN equal to NaN and -0 unlike 0.
template <class T>
std::string text_of(const std::vector<T>& values) {
  std::string text;
  for (const T value : values) {
    if constexpr (std::is_floating_point_v<T>) {
      char buffer[64];
      std::snprintf(buffer, sizeof buffer, value != value ? "nan " : "%.17g ",
                    static_cast<double>(value));
      text += buffer;
    } else {
      text += std::to_string(value) + " ";
    }
  }
  return text;
}

template <class T = double>
std::string text_of(const Tensor& tensor) {
  const auto span = tensor.as<T>();
  return text_of(std::vector<T>(span.begin(), span.end()));
}

template <class T = double>
std::string expected(std::vector<T> values) {
  return text_of(values);
}

inline Tensor floats(std::int64_t width, const std::vector<float>& values) {
  return tensor_of(DType::kFloat32, width, values);
}
inline Tensor integers(std::int64_t width, const std::vector<std::int64_t>& values) {
  return tensor_of(DType::kInt64, width, values);
}
inline Tensor strings(std::int64_t width, const std::vector<std::string>& values) {
  return tensor_of(DType::kString, width, values);
}

}  // namespace slipstream::forest
