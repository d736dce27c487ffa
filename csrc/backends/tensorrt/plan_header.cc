#include "backends/tensorrt/plan_header.h"

#include <array>
#include <cstring>

namespace slipstream::tensorrt {
std::string to_string(const Version& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor) + "." +
         std::to_string(version.patch);
}

Result<PlanHeader> read_plan_header(std::span<const std::byte> bytes, const std::string& file) {
  std::array<char, kPlanMark.size()> mark{};
  if (bytes.size() >= mark.size()) std::memcpy(mark.data(), bytes.data(), mark.size());
  if (std::string_view(mark.data(), mark.size()) != kPlanMark) {
    return invalid_argument("tensorrt backend: " + file +
                            " is no TensorRT plan: it does not begin as one. Build one with "
                            "trtexec --saveEngine, or convert the ONNX model");
  }
  if (bytes.size() < kPlanHeaderBytes) {
    return invalid_argument("tensorrt backend: " + file + " is a TensorRT plan cut short: it has " +
                            std::to_string(bytes.size()) +
                            " bytes, less than its header. Copy it " + "again");
  }
  std::uint32_t layout = 0;
  std::memcpy(&layout, bytes.data() + kPlanLayoutAt, sizeof layout);
  PlanHeader header;
  if (layout == kKnownPlanLayout) {
    const auto at = [bytes](std::size_t offset) { return std::to_integer<int>(bytes[offset]); };
    header.built_by = Version{at(kPlanVersionAt), at(kPlanVersionAt + 1), at(kPlanVersionAt + 2)};
  }
  return header;
}

}  // namespace slipstream::tensorrt
