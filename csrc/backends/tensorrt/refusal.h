// What TensorRT refuses, for people: with its own words, and, of a plan that does not deserialize,
// with what the plan says of itself and what to do about it.
//
// TensorRT answers false or a null pointer and writes the reason to its log (told.h), whose words
// are not an interface. So the kind of failure is told from versions where they say it, from a few
// words that have been the same for years else, and TensorRT's own text is always part of the
// message.
//
// Threads: any; pure. Throws std::bad_alloc.
#pragma once

#include <optional>
#include <string>

#include "backends/tensorrt/plan_header.h"
#include "core/status.h"

namespace slipstream::tensorrt {

// The end of a message that has TensorRT's words; empty where it said nothing.
[[nodiscard]] std::string in_its_words(const std::string& told);

// kInternal: TensorRT refused something that it should take. `file` is the plan's.
[[nodiscard]] Status refused(const std::string& file, const std::string& what,
                             const std::string& told);

struct RuntimeFacts {
  std::string library;  // its path, or the name it was found by
  Version version;
  bool is_lean = false;
  std::string device;  // "NVIDIA H100 PCIe (cuda:0)"
};

//   kResourceExhausted   the device has not memory for it
//   kFailedPrecondition  it is of another version, for another GPU, or has code for the host
//   kInvalidArgument     anything else: as a rule a damaged file
[[nodiscard]] Status why_not_deserialized(const std::string& file, const PlanHeader& header,
                                          const RuntimeFacts& runtime, const std::string& told);

}  // namespace slipstream::tensorrt
