#include "device/gatherer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace slipstream::device {
namespace {

// Gathered bytes are sent off as soon as there are so many for each who gathers: below, telling the
// device costs more than it gains.
constexpr std::size_t kWindowBytes = std::size_t{1} << 20U;

// What one of several who gather takes at a time: small enough that they end together.
constexpr std::size_t kPartBytes = std::size_t{256} << 10U;

// A helper is worth waking for so many bytes, which are gathered in two or three times what waking
// one may take.
constexpr std::size_t kBytesPerHelper = std::size_t{2} << 20U;

// More gain nothing: so many gather as fast as PCIe 5 carries.
constexpr std::size_t kMostHelpers = 5;

}  // namespace

std::size_t Gatherer::helpers_worth(std::size_t bytes) noexcept {
  return bytes < 2 * kBytesPerHelper ? 0 : std::min(bytes / kBytesPerHelper - 1, kMostHelpers);
}

Gatherer::Gatherer(std::byte* host, std::byte* device, Stream& stream, HelperPool::Crew crew,
                   std::vector<Part>& parts, bool& has_sent) noexcept
    : host_(host),
      device_(device),
      stream_(stream),
      crew_(std::move(crew)),
      parts_(parts),
      window_bytes_(kWindowBytes * (1 + crew_.size())),
      has_sent_(has_sent) {
  parts_.clear();
}

Status Gatherer::add(const std::byte* from, std::size_t bytes) {
  while (bytes > 0) {
    const std::size_t part = std::min({bytes, kPartBytes, window_bytes_ - (added_ - sent_)});
    if (crew_.size() == 0) {
      std::memcpy(host_ + added_, from, part);
    } else {
      parts_.push_back({.to = host_ + added_, .from = from, .bytes = part});
    }
    added_ += part;
    from += part;
    bytes -= part;
    if (added_ - sent_ < window_bytes_) continue;
    if (Status status = flush(); !status.is_ok()) return status;
  }
  return Status::ok();
}

Status Gatherer::add_direct(const std::byte* from, std::size_t bytes) {
  if (Status status = flush(); !status.is_ok()) return status;
  added_ += bytes;
  return send(from, bytes);
}

Status Gatherer::flush() {
  crew_.run(parts_.size(), [this](std::size_t /*worker*/, std::size_t part) noexcept {
    std::memcpy(parts_[part].to, parts_[part].from, parts_[part].bytes);
  });
  parts_.clear();
  return send(host_ + sent_, added_ - sent_);
}

Status Gatherer::send(const std::byte* from, std::size_t bytes) noexcept {
  if (bytes == 0) return Status::ok();
  has_sent_ = true;
  return stream_.copy_to_device(device_ + std::exchange(sent_, sent_ + bytes), from, bytes);
}

}  // namespace slipstream::device
