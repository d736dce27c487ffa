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

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

namespace slipstream::tensorrt {

struct PlanVersion {
  int major = 0;
  int minor = 0;
  int patch = 0;
};

inline std::string plan_bytes(const PlanVersion& version, const std::string& text,
                              unsigned char layout = 0) {
  std::string bytes = "ftrt";
  bytes += std::string(24, '\0');
  bytes[4] = static_cast<char>(layout);
  bytes[24] = static_cast<char>(version.major);
  bytes[25] = static_cast<char>(version.minor);
  bytes[26] = static_cast<char>(version.patch);
  return bytes + text;
}

inline std::string write_plan(const std::filesystem::path& path, const PlanVersion& version,
                              const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << plan_bytes(version, text);
  return path.string();
}

}  // namespace slipstream::tensorrt
