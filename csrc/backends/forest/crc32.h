// CRC-32 as zlib computes it (polynomial 0xEDB88320, reflected), eight bytes a step.
//
// Use it to notice damaged files, not to notice hostile ones: anybody can compute it.
// Threads: any. Failure: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace slipstream::forest {

[[nodiscard]] std::uint32_t crc32(std::span<const std::byte> bytes) noexcept;

}  // namespace slipstream::forest
