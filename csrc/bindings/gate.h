// Gate: how many requests are in progress, and how many bytes of bodies they may hold.
//
// Plain numbers: the GIL is the lock. Every call is one call from Python or from code that holds
// the GIL, and none of them lets go of it.
#pragma once

#include <cstdint>

namespace slipstream::bindings {

class Gate {
 public:
  Gate(std::int64_t max_requests, std::int64_t max_body_bytes) noexcept
      : max_requests_(max_requests), max_body_bytes_(max_body_bytes) {}

  // One more request; false: full, or closed. Each true needs one `leave`.
  [[nodiscard]] bool try_enter() noexcept {
    if (is_closed_ || active_ >= max_requests_) return false;
    ++active_;
    return true;
  }

  // Sets memory aside for body bytes of a request that is in; `leave` gives it back.
  [[nodiscard]] bool try_reserve(std::int64_t bytes) noexcept {
    if (bytes > max_body_bytes_ - body_bytes_) return false;
    body_bytes_ += bytes;
    received_bytes_ += bytes;
    return true;
  }

  void leave(std::int64_t reserved_bytes) noexcept {
    --active_;
    body_bytes_ -= reserved_bytes;
  }

  // From now on; those that are in stay.
  void set_max_requests(std::int64_t max_requests) noexcept { max_requests_ = max_requests; }

  // Admits nothing from now on.
  void close() noexcept { is_closed_ = true; }

  [[nodiscard]] std::int64_t max_requests() const noexcept { return max_requests_; }
  [[nodiscard]] std::int64_t active() const noexcept { return active_; }
  [[nodiscard]] std::int64_t body_bytes() const noexcept { return body_bytes_; }
  // Of all bodies so far.
  [[nodiscard]] std::int64_t received_bytes() const noexcept { return received_bytes_; }
  [[nodiscard]] bool is_closed() const noexcept { return is_closed_; }

 private:
  std::int64_t max_requests_;
  std::int64_t max_body_bytes_;
  std::int64_t active_ = 0;
  std::int64_t body_bytes_ = 0;
  std::int64_t received_bytes_ = 0;
  bool is_closed_ = false;
};

}  // namespace slipstream::bindings
