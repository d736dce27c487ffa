// StepSpec: one step as the file states it, with questions that a factory asks of it.
//
// Ask for everything the step takes; each question answers with something harmless once one has
// failed, and status() is the first complaint. Factories so read as straight runs of lines:
//
//   StepChecks is(spec);
//   is.shape(1, 1, 1);                                  // inputs, arrays, scalars
//   const auto edges = is.array<double>(0, "edges");
//   if (!is.ok()) return is.status();
//
// Threads: one. Ownership: refers to the file's bytes. Throws std::bad_alloc.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "backends/forest/file.h"
#include "backends/forest/step.h"
#include "backends/forest/trees/evaluator.h"
#include "backends/forest/value.h"
#include "core/status.h"

namespace slipstream::forest {

struct StepSpec {
  std::vector<std::uint32_t> inputs;  // value ids, all of them before this step's
  std::vector<ValueType> types;       // of the inputs
  std::vector<FileArray> arrays;
  std::vector<double> scalars;
  const CompileOptions* trees = nullptr;  // how `trees` steps are compiled
};

using StepResult = Result<std::unique_ptr<Step>>;

class StepChecks {
 public:
  explicit StepChecks(const StepSpec& spec) noexcept : spec_(spec) {}

  [[nodiscard]] bool ok() const noexcept { return status_.is_ok(); }
  [[nodiscard]] const Status& status() const noexcept { return status_; }

  void require(bool condition, const char* complaint) {
    if (!condition && ok()) status_ = invalid_argument(complaint);
  }

  // How many of each the step takes. Everything else may be asked only behind this.
  void shape(std::size_t inputs, std::size_t arrays, std::size_t scalars);

  // The type of an input; float64 of width 1 if it is not there.
  [[nodiscard]] const ValueType& type(std::size_t input = 0) const noexcept;
  void type_is(DType dtype, std::size_t input = 0);
  void is_floating(std::size_t input = 0);  // float64 or float32
  void width_is(std::uint32_t width, std::size_t input = 0);

  template <class T>
  [[nodiscard]] std::span<const T> array(std::size_t index, const char* name);

  // A scalar as it is (NaN allowed), and one that must be a whole number in [low, high].
  [[nodiscard]] double scalar(std::size_t index) const noexcept;
  [[nodiscard]] std::uint32_t whole(std::size_t index, const char* name, std::uint32_t low,
                                    std::uint32_t high);

 private:
  template <class T>
  static constexpr DType dtype_of() noexcept;

  void wrong_dtype(const char* name, DType wanted, DType given);

  const StepSpec& spec_;
  Status status_;
};

template <class T>
constexpr DType StepChecks::dtype_of() noexcept {
  if constexpr (std::is_same_v<T, double>) return DType::kFloat64;
  if constexpr (std::is_same_v<T, std::int32_t>) return DType::kInt32;
  if constexpr (std::is_same_v<T, std::int64_t>) return DType::kInt64;
  if constexpr (std::is_same_v<T, std::uint32_t>) return DType::kUint32;
  return DType::kUint8;
}

template <class T>
std::span<const T> StepChecks::array(std::size_t index, const char* name) {
  if (!ok() || index >= spec_.arrays.size()) return {};
  const FileArray& array = spec_.arrays[index];
  if (array.dtype != dtype_of<T>()) {
    wrong_dtype(name, dtype_of<T>(), array.dtype);
    return {};
  }
  return array.as<T>();
}

}  // namespace slipstream::forest
