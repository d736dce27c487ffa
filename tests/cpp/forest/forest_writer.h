// ForestWriter: forest files for tests, in a few lines; docs/forest-format.md says what is written.
//
// It checks nothing: tests of the reader write what is wrong as easily as what is right.
// Threads: one. Ownership: values. Failure: throws std::bad_alloc.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "backends/forest/file.h"
#include "backends/forest/steps/registry.h"
#include "backends/forest/trees/ensemble.h"

namespace slipstream::forest {

// The trees of an ensemble in memory of their own.
struct OwnedTrees {
  std::uint32_t features = 1;
  std::uint32_t outputs = 1;
  std::uint32_t leaf_width = 1;
  Comparison comparison = Comparison::kLessEqual64;
  bool zero_flush = false;
  bool float32_sums = false;
  std::vector<std::int32_t> roots, tree_output, feature, left, right;
  std::vector<double> threshold, leaf_value, base;
  std::vector<std::uint8_t> missing_left, rule;
  std::vector<std::uint32_t> set_start, set_bits, category_count, known_start, known_bits;

  [[nodiscard]] Ensemble view() const;
};

// One tree of two leaves: x[0] <= 0.5 gives `left`, else `right`; NaN goes right.
[[nodiscard]] OwnedTrees stump(std::uint32_t features, double left, double right);

// One array of a file as its bytes.
struct WrittenArray {
  DType dtype = DType::kUint8;
  std::uint64_t count = 0;
  std::string bytes;
};

// Of the type of its elements: float64 unless they say otherwise.
template <class T = double>
[[nodiscard]] WrittenArray array_of(const std::vector<T>& values);
extern template WrittenArray array_of(const std::vector<double>&);
extern template WrittenArray array_of(const std::vector<std::int32_t>&);
extern template WrittenArray array_of(const std::vector<std::int64_t>&);
extern template WrittenArray array_of(const std::vector<std::uint8_t>&);
extern template WrittenArray array_of(const std::vector<std::uint32_t>&);

// The two arrays that strings are stored as.
[[nodiscard]] std::vector<WrittenArray> texts(const std::vector<std::string>& strings);

class ForestWriter {
 public:
  // Each returns the id of the value. Inputs come first.
  std::uint32_t input(std::string_view name, DType dtype, std::uint32_t width);
  std::uint32_t step(Op op, const std::vector<std::uint32_t>& inputs,
                     const std::vector<WrittenArray>& arrays = {},
                     const std::vector<double>& scalars = {});
  std::uint32_t trees(std::uint32_t x, const OwnedTrees& trees);
  void output(std::string_view name, std::uint32_t value, bool flat = false);

  [[nodiscard]] std::string bytes() const;

 private:
  std::vector<std::string> inputs_, steps_, outputs_;
  std::vector<WrittenArray> arrays_;
};

// Sets the size and the CRC-32 in the header to what the bytes say.
void seal(std::string& bytes);

// A small program of all sorts: numbers and text in; scores, probabilities and labels out.
[[nodiscard]] std::string sample_file();

}  // namespace slipstream::forest
