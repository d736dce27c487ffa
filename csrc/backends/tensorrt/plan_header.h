// What a TensorRT plan says of itself before anything deserializes it: which version built it.
//
// A plan begins with a mark and the number of its layout; in layout 0, the only one there has been,
// the builder's version follows in four bytes, as `trtexec --getPlanVersionOnly` reads it. Whether
// it was built to be version compatible, and for which GPU, TensorRT says only when it
// deserializes.
//
// Threads: any; pure. Failure: kInvalidArgument that names the file. Throws std::bad_alloc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/status.h"

namespace slipstream::tensorrt {

struct Version {
  int major = 0;
  int minor = 0;
  int patch = 0;

  friend bool operator==(const Version&, const Version&) = default;
};

[[nodiscard]] std::string to_string(const Version& version);

// Bytes, and the builder's version as major, minor, patch.
inline constexpr std::string_view kPlanMark = "ftrt";
inline constexpr std::size_t kPlanLayoutAt = 4;
inline constexpr std::size_t kPlanVersionAt = 24;
inline constexpr std::size_t kPlanHeaderBytes = 28;
inline constexpr std::uint32_t kKnownPlanLayout = 0;

struct PlanHeader {
  std::optional<Version> built_by;  // nullopt: a layout that is not known
};

// `file` names it in messages.
[[nodiscard]] Result<PlanHeader> read_plan_header(std::span<const std::byte> bytes,
                                                  const std::string& file);

}  // namespace slipstream::tensorrt
