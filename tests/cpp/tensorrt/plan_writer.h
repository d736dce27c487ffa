// Writes plans for the fake runtime: a real plan's header, as far as it is public, and then a text.
//
//   needs host-code                     it brings code for the host
//   needs other-gpu                     it was built for another GPU
//   input NAME TYPE DIMS [MIN MAX]...   one pair a profile; TYPE is TensorRT's number
//   output NAME TYPE DIMS OF            its elements are twice those of input OF
//   ... host | packed | sparse          behind a tensor: a shape tensor; of a format of TensorRT's
//                                       own; of a shape that depends on what the inputs hold
//   end                                 without it the plan is cut short
//
// DIMS, MIN and MAX are numbers with commas; "-" is a scalar.
// Threads: any. Failure: the test's.
#pragma once

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "backends/tensorrt/plan_header.h"

namespace slipstream::tensorrt {

inline std::string plan_bytes(const Version& version, const std::string& text,
                              std::uint32_t layout = kKnownPlanLayout) {
  std::string bytes(kPlanMark);
  bytes.resize(kPlanHeaderBytes);
  std::memcpy(bytes.data() + kPlanLayoutAt, &layout, sizeof layout);
  bytes[kPlanVersionAt] = static_cast<char>(version.major);
  bytes[kPlanVersionAt + 1] = static_cast<char>(version.minor);
  bytes[kPlanVersionAt + 2] = static_cast<char>(version.patch);
  return bytes + text;
}

inline std::string write_plan(const std::filesystem::path& path, const Version& version,
                              const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << plan_bytes(version, text);
  return path.string();
}

}  // namespace slipstream::tensorrt
