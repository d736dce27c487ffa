// Face: what a plan takes and gives, and the sizes that its optimization profile was built for.
//
// It is made of descriptions of the plan's tensors, so the rules are here and TensorRT is not.
// `auto` answers batchable when every input and every output has at least one dimension and the
// first of each is dynamic. That is what an exporter writes for a batch axis; it is no proof, so an
// operator who knows better sets true or false. `true` is still refused where it cannot be.
//
// Refused by name: tensors of types that slipstream does not carry, of formats other than rows one
// behind the other, and those that are read or written on the host (shape tensors), since their
// values would have to be known before anything is put on the stream.
// Threads: any; pure. Failure: kInvalidArgument that names the tensor. Throws std::bad_alloc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backends/tensorrt/options.h"
#include "core/backend.h"

namespace slipstream::tensorrt {

struct Described {
  std::string name;
  bool is_input = false;
  std::optional<DType> dtype;  // nullopt: none of ours
  std::string type_name;       // TensorRT's
  bool is_linear = true;
  bool is_on_host = false;
  std::vector<std::int64_t> dims;  // -1: of any size
  // Of inputs: the least and the most that the profile takes.
  std::vector<std::int64_t> min;
  std::vector<std::int64_t> max;
};

struct Bounds {
  std::vector<std::int64_t> min;
  std::vector<std::int64_t> max;
};

struct Face {
  ModelSpec spec;
  std::vector<Bounds> bounds;  // of each input
  int profile = 0;
  // The fewest rows that the profile takes, where the plan is batchable: fewer are padded.
  std::int64_t min_rows = 1;
};

[[nodiscard]] Result<Face> face_of(const std::vector<Described>& tensors,
                                   const TensorRtOptions& options, const std::string& file);

// Whether the profile takes an input of that shape; kInvalidArgument says what it takes.
[[nodiscard]] Status check_fits(const Face& face, std::size_t input,
                                std::span<const std::int64_t> dims);

}  // namespace slipstream::tensorrt
