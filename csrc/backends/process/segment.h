// Segment: a growable piece of memory shared with a worker process (a memfd and its mapping).
//
// The writing side calls reserve(), the reading side follow(). The memfd is sealed against
// shrinking, so that no worker, whatever code it runs, can turn our reads into a SIGBUS; growth is
// allocated at once, so that a full machine is a Status and not a SIGBUS either. Growing may move
// data(). Used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "backends/process/unique_fd.h"
#include "core/status.h"

namespace slipstream::process {

class Segment {
 public:
  // A segment of min(64 KiB, limit) that never grows beyond `limit_bytes`.
  [[nodiscard]] static Result<Segment> create(const char* name, std::size_t limit_bytes);

  Segment(Segment&& other) noexcept;
  Segment& operator=(Segment&&) = delete;
  ~Segment();

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }

  // Makes room for `bytes`, at least doubling. kInvalidArgument beyond the limit (the message, not
  // the moment, is wrong), kResourceExhausted when the system has no memory.
  [[nodiscard]] Status reserve(std::uint64_t bytes);

  // Maps what the other side says it has grown the segment to. kInternal if that is not true.
  [[nodiscard]] Status follow(std::uint64_t bytes);

 private:
  Segment(UniqueFd fd, std::size_t limit_bytes) noexcept;
  [[nodiscard]] Status remap(std::size_t bytes);

  UniqueFd fd_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t limit_;
};

}  // namespace slipstream::process
