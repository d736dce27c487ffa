// Sockets: where the server is, and connections to it that never block once they are made.
//
// Threads: one. Ownership: Socket closes its descriptor. Failure: LoadError.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <string>
#include <utility>

namespace slipstream::load {

class Address {
 public:
  // "127.0.0.1:8000" or "unix:PATH".
  explicit Address(const std::string& text);

  // A connected descriptor, which the caller owns.
  [[nodiscard]] int connect() const;

 private:
  std::string text_;
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

class Socket {
 public:
  Socket() = default;
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  ~Socket() { close(); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  void reset(int descriptor) noexcept {
    close();
    descriptor_ = descriptor;
  }
  void close() noexcept;
  // Gives the descriptor away.
  [[nodiscard]] int release() noexcept { return std::exchange(descriptor_, -1); }
  [[nodiscard]] int get() const noexcept { return descriptor_; }

 private:
  int descriptor_ = -1;
};

// Lets the process hold that many descriptors; throws where its hard limit is lower.
void allow_descriptors(std::size_t wanted);

}  // namespace slipstream::load
